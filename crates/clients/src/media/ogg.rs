//! How long an Ogg file of Opus plays, which is what WhatsApp's voice notes are: by the packets that are in it, since
//! what the pages say of it is the sender's word, and minutes are paid for.
//!
//! Source: RFC 3533, section 6 (pages), RFC 6716, section 3 (packets of Opus), RFC 7845, section 5 (headers).

const MAGIC: &[u8] = b"OggS";
/// Samples a second.
const RATE: u32 = 48_000;
/// No packet of Opus plays longer, in samples.
const LONGEST_PACKET: u32 = 5_760;
/// Packets that are no sound begin so: `OpusHead`, `OpusTags`.
const HEADER: &[u8] = b"Opus";

/// Whole seconds, a begun one included; `None` if it is no Ogg file of Opus, or has no sound.
pub(super) fn seconds(bytes: &[u8]) -> Option<u32> {
    let head = bytes.get(..256).unwrap_or(bytes);
    if !bytes.starts_with(MAGIC) || find(head, b"OpusHead").is_none() {
        return None;
    }
    let (mut samples, mut rest) = (0u64, bytes);
    // What lies between pages is passed over, as players do; and a page counts wherever it is, so that none hides
    // another.
    while let Some(at) = find(rest, MAGIC) {
        let page = rest.get(at..).unwrap_or_default();
        samples += played(page).unwrap_or_default();
        rest = page.get(MAGIC.len()..).unwrap_or_default();
    }
    let seconds = samples.div_ceil(RATE.into());
    u32::try_from(seconds).ok().filter(|seconds| *seconds > 0)
}

fn find(bytes: &[u8], magic: &[u8]) -> Option<usize> {
    bytes.windows(magic.len()).position(|found| found == magic)
}

/// How many samples the packets play that begin on a page; `None` if it is none, or breaks off.
fn played(page: &[u8]) -> Option<u64> {
    // Its version.
    page.get(4).filter(|version| **version == 0)?;
    let segments = usize::from(*page.get(26)?);
    let lacing = page.get(27..27 + segments)?;
    let mut at = 27 + segments;
    // A packet may begin on the page before.
    let mut begins = page.get(5)? & 1 == 0;
    let mut samples = 0;
    for segment in lacing {
        if begins {
            samples += u64::from(samples_of(page.get(at..)?));
        }
        at += usize::from(*segment);
        begins = *segment < 255;
    }
    Some(samples)
}

/// How many samples a packet plays, by its first two bytes.
fn samples_of(packet: &[u8]) -> u32 {
    let Some(toc) = packet.first().filter(|_| !packet.starts_with(HEADER)) else {
        return 0;
    };
    let (mode, size) = (toc >> 3, u32::from(toc >> 3 & 3));
    let frame = match mode {
        0..12 => [480, 960, 1_920, 2_880].get(size as usize).copied(),
        12..16 => Some(480 << (size & 1)),
        _ => Some(120 << size),
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1).map_or(0, |count| u32::from(count & 63)),
    };
    (frame.unwrap_or_default() * frames).min(LONGEST_PACKET)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page that claims to end at a sample, with packets of less than 255 bytes.
    fn page(flags: u8, claimed: u64, packets: &[&[u8]]) -> Vec<u8> {
        let mut page = [MAGIC, &[0, flags]].concat();
        page.extend(claimed.to_le_bytes());
        page.extend([0; 12]);
        page.push(packets.len() as u8);
        page.extend(packets.iter().map(|packet| packet.len() as u8));
        page.extend(packets.concat());
        page
    }

    fn file(pages: &[Vec<u8>]) -> Vec<u8> {
        let head = page(2, 0, &[b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0"]);
        let tags = page(0, 0, &[b"OpusTags\0\0\0\0"]);
        [head, tags, pages.concat()].concat()
    }

    #[test]
    fn it_plays_as_long_as_its_packets_whatever_its_pages_claim() {
        // 20 ms, full band, one frame each.
        let second = vec![b"\xf8\xff\xfe".as_slice(); 50];
        let plays = |pages: &[Vec<u8>]| seconds(&file(pages));
        assert_eq!(plays(&[page(0, 48_000, &second)]), Some(1));
        assert_eq!(
            plays(&[page(0, 0, &second), page(4, 1, &second)]),
            Some(2),
            "it claims nothing"
        );
        assert_eq!(plays(&[page(4, u64::MAX, &second)]), Some(1), "it claims years");
        assert_eq!(
            plays(&[page(0, 0, &second), page(0, 0, &[b"\xf8"])]),
            Some(2),
            "a begun one"
        );
        // 60 ms of narrow band, twice in a packet; 2.5 ms, 48 times; more than a packet may have.
        assert_eq!(plays(&[page(0, 0, &[b"\x19".as_slice(); 25])]), Some(3));
        assert_eq!(plays(&[page(0, 0, &[b"\x83\x30".as_slice(); 25])]), Some(3));
        assert_eq!(plays(&[page(0, 0, &[b"\xfb\x3f".as_slice(); 25])]), Some(3));
        // The end of a packet that began before is no packet.
        assert_eq!(plays(&[page(0, 0, &second), page(1, 0, &[b"\xf8"])]), Some(1));
        let garbage = [page(0, 0, &second), b"OggSgarbage".to_vec(), page(0, 0, &second)];
        assert_eq!(plays(&garbage), Some(2));
        assert_eq!(plays(&[]), None);
        assert_eq!(seconds(b"OggS"), None);
        assert_eq!(seconds(b"ID3"), None);
    }
}
