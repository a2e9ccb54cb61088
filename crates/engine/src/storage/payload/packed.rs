//! Documents are short and alike, so that what they have in common stands in a dictionary: they are packed before they are
//! sealed, to about a third of their length.
//!
//! That the length of what is sealed tells a little of what is in it is so without packing too: whoever reads the rows
//! cannot try texts of his own beside secret ones in one document.
use std::{cell::RefCell, io, sync::LazyLock};

use sea_orm::DbErr;
use zstd::{
    bulk::{Compressor, Decompressor},
    dict::{DecoderDictionary, EncoderDictionary},
    zstd_safe::{CParameter, get_frame_content_size},
};

use super::LARGEST;

/// Made by zstd's training from documents of recorded runs, their numbers, ids, times and texts replaced by random ones.
///
/// Never changed: what was packed by it is unpacked by it. A better one gets a number of its own, and is read a release before
/// anything is packed by it, so that processes of two releases can work side by side.
const WORDS: &[u8] = include_bytes!("words.zdict");
/// The first byte of what was packed by [`WORDS`]. JSON begins with none below a space.
const BY_WORDS: u8 = 1;
/// With which every frame of zstd begins, so that it need not be kept (RFC 8878, section 3.1.1).
const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
/// Of zstd's 1 to 22: more takes longer than it is worth.
const LEVEL: i32 = 3;
/// What is shorter is left as it is, in bytes; and what is longer than a document should be.
const SHORTEST: usize = 48;

static TO_PACK: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(WORDS, LEVEL));
static TO_UNPACK: LazyLock<DecoderDictionary<'static>> = LazyLock::new(|| DecoderDictionary::copy(WORDS));

thread_local! {
    static PACKER: RefCell<Option<Compressor<'static>>> = RefCell::new(packer().ok());
    static UNPACKER: RefCell<Option<Decompressor<'static>>> =
        RefCell::new(Decompressor::with_prepared_dictionary(&TO_UNPACK).ok());
}

fn packer() -> io::Result<Compressor<'static>> {
    let mut packer = Compressor::with_prepared_dictionary(&TO_PACK)?;
    packer.set_parameter(CParameter::DictIdFlag(false))?;
    Ok(packer)
}

/// The text of a document, packed if that makes it shorter.
pub(super) fn pack(text: &str) -> Vec<u8> {
    let plain = text.as_bytes();
    if !(SHORTEST..=LARGEST).contains(&plain.len()) {
        return plain.to_vec();
    }
    let frame = PACKER.with_borrow_mut(|packer| packer.as_mut()?.compress(plain).ok());
    match frame {
        Some(mut frame) if frame.starts_with(&MAGIC) && frame.len() < plain.len() => {
            frame.splice(..MAGIC.len(), [BY_WORDS]);
            frame
        }
        _ => plain.to_vec(),
    }
}

/// What [`pack`] was given.
///
/// # Errors
/// When it is no frame of zstd, or one of a dictionary that this build does not know.
pub(super) fn unpack(packed: Vec<u8>) -> Result<Vec<u8>, DbErr> {
    match packed.first() {
        Some(&BY_WORDS) => {}
        Some(0..b' ') => return Err(DbErr::Custom("a document was packed by another build".to_owned())),
        _ => return Ok(packed),
    }
    let frame = [&MAGIC[..], &packed[1..]].concat();
    let length = get_frame_content_size(&frame).ok().flatten();
    let length = length.and_then(|length| usize::try_from(length).ok());
    let unpacked = length.filter(|length| *length <= LARGEST).and_then(|length| {
        UNPACKER.with_borrow_mut(|unpacker| unpacker.as_mut()?.decompress(&frame, length).ok())
    });
    unpacked.ok_or_else(|| DbErr::Custom("a packed document is damaged".to_owned()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_back_and_is_shorter_where_it_is_like_the_others() {
        let call = r#"{"account":"AC6f1c2d","body":"quanto custa?","from":"whatsapp:+5511987654321","media_urls":[],"to":"whatsapp:+14155238886"}"#;
        let packed = pack(call);
        assert!(
            packed.len() * 3 < call.len() * 2,
            "{} of {}",
            packed.len(),
            call.len()
        );
        assert_eq!(unpack(packed).unwrap(), call.as_bytes());
        let long = format!("[{}]", vec![call; 20_000].join(","));
        let too_long = format!("[{}]", vec![call; 50_000].join(","));
        assert!(too_long.len() > LARGEST);
        for text in ["null", "{}", "\"é\"", &long, &too_long] {
            assert_eq!(unpack(pack(text)).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn what_was_sealed_before_there_was_packing_is_read() {
        let plain = br#"{"body":"oi"}"#.to_vec();
        assert_eq!(unpack(plain.clone()).unwrap(), plain);
    }

    #[test]
    fn damaged_ones_and_those_of_later_builds_are_refused() {
        let mut cut = pack(&"{\"a\":1}".repeat(40));
        cut.pop();
        for damaged in [vec![BY_WORDS], vec![BY_WORDS, 0xFF, 0xFF], vec![2, 0, 0], cut] {
            assert!(unpack(damaged).is_err());
        }
    }
}
