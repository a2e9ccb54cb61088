//! Small pictures of large ones.
use std::io::Cursor;

use image::{DynamicImage, ImageReader, Limits, RgbImage, codecs::jpeg::JpegEncoder};
use tokio::sync::{Semaphore, SemaphorePermit};

/// The longer side, in pixels; shown at half of it on most screens.
const SIDE: u32 = 480;
/// Larger ones are no photographs of anybody's telephone.
const WIDEST: u32 = 12_000;
/// The most memory that reading one may take.
const MOST: u64 = 192 * 1024 * 1024;
const QUALITY: u8 = 78;

/// A few kilobytes can ask for much memory: only so many are read at the same time.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// Leave to read one picture.
pub(super) struct Place(SemaphorePermit<'static>);

/// Waits for it; to be had before the picture is in memory.
pub(super) async fn place() -> Option<Place> {
    AT_ONCE.acquire().await.ok().map(Place)
}

impl Place {
    /// A small JPEG of the picture in `bytes`; `None` if it is none that we can read. The place is taken until it is read,
    /// also where nobody waits for it any more.
    pub(super) async fn thumbnail(self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        let shrink = move || {
            let small = shrink(&bytes);
            drop(bytes);
            drop(self.0);
            small
        };
        tokio::task::spawn_blocking(shrink).await.ok()?
    }
}

fn shrink(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(WIDEST);
    limits.max_image_height = Some(WIDEST);
    limits.max_alloc = Some(MOST);
    reader.limits(limits);
    let picture = reader.decode().ok()?;
    let small = match picture.width().max(picture.height()) > SIDE {
        true => picture.thumbnail(SIDE, SIDE),
        false => picture,
    };
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .encode_image(&on_white(&small))
        .ok()?;
    Some(jpeg)
}

/// JPEG knows no transparency.
fn on_white(picture: &DynamicImage) -> RgbImage {
    let picture = picture.to_rgba8();
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [r, g, b, a] = picture.get_pixel(x, y).0;
        let mixed = |one: u8| {
            let (one, a) = (u32::from(one), u32::from(a));
            u8::try_from((one * a + 255 * (255 - a)) / 255).unwrap_or(u8::MAX)
        };
        image::Rgb([mixed(r), mixed(g), mixed(b)])
    })
}

#[cfg(test)]
mod tests {
    use image::{ImageFormat, Rgba, RgbaImage};

    use super::*;

    async fn thumbnail(bytes: Vec<u8>) -> Option<Vec<u8>> {
        place().await?.thumbnail(bytes).await
    }

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        RgbaImage::from_pixel(width, height, Rgba([200, 0, 0, 0]))
            .write_to(&mut bytes, ImageFormat::Png)
            .expect("written");
        bytes.into_inner()
    }

    #[tokio::test]
    async fn a_picture_becomes_small_and_what_is_transparent_white() {
        let small = thumbnail(png(960, 240)).await.expect("a picture");
        let small = image::load_from_memory_with_format(&small, ImageFormat::Jpeg).expect("a JPEG");
        assert_eq!((small.width(), small.height()), (480, 120));
        let [r, g, b, _] = small.to_rgba8().get_pixel(9, 9).0;
        assert!(r > 250 && g > 250 && b > 250, "{r} {g} {b}");
        let tiny = thumbnail(png(3, 2)).await.expect("a picture");
        assert_eq!(image::load_from_memory(&tiny).expect("a JPEG").width(), 3);
    }

    #[tokio::test]
    async fn what_is_no_picture_or_pretends_to_be_huge_gives_none() {
        assert_eq!(thumbnail(b"GIF89a nothing".to_vec()).await, None);
        let mut bomb = png(2, 2);
        // The width in the header of a PNG.
        bomb[16..20].copy_from_slice(&60_000u32.to_be_bytes());
        assert_eq!(thumbnail(bomb).await, None);
        assert_eq!(thumbnail(Vec::new()).await, None);
    }

    #[test]
    fn a_place_is_taken_until_the_picture_is_read_though_its_reader_went() {
        // One thread for blocking work, and it is busy: what was begun cannot end.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .build();
        let runtime = runtime.expect("a runtime");
        runtime.block_on(async {
            let (let_go, held) = std::sync::mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || held.recv());
            let place = place().await.expect("a place");
            let others = AT_ONCE.available_permits();
            let mut made = Box::pin(place.thumbnail(png(3, 2)));
            assert!(futures::poll!(&mut made).is_pending());
            drop(made);
            assert_eq!(AT_ONCE.available_permits(), others, "still taken");
            drop(let_go);
            assert!(busy.await.is_ok());
            let all = AT_ONCE
                .acquire_many(2)
                .await
                .expect("given back when it was read");
            drop(all);
        });
    }
}
