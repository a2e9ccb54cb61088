//! How long an Ogg file plays, which is what WhatsApp's voice notes are.
//!
//! Source: RFC 3533, section 6 (pages), RFC 7845, sections 4 and 5.1 (Opus: 48,000 samples a second, pre-skip).

const OPUS_RATE: u64 = 48_000;
/// Nothing that a message carries plays longer.
const LONGEST: u64 = 24 * 3600;

/// Whole seconds, a begun one included; `None` if it is no Ogg file of Opus or Vorbis, or does not say.
pub(super) fn seconds(bytes: &[u8]) -> Option<u32> {
    if !bytes.starts_with(b"OggS") {
        return None;
    }
    let (rate, skipped) = head(bytes.get(..256).unwrap_or(bytes))?;
    let last = bytes.windows(4).rposition(|four| four == b"OggS")?;
    let samples = u64::from_le_bytes(bytes.get(last + 6..last + 14)?.try_into().ok()?);
    // All ones says that no packet ends on the page.
    let played = samples.checked_sub(skipped).filter(|_| samples != u64::MAX)?;
    let seconds = played.div_ceil(rate).min(LONGEST);
    u32::try_from(seconds).ok()
}

/// Samples a second, and how many of the first are not played.
fn head(bytes: &[u8]) -> Option<(u64, u64)> {
    let at = |magic: &[u8]| bytes.windows(magic.len()).position(|found| found == magic);
    if let Some(opus) = at(b"OpusHead") {
        let skipped = bytes.get(opus + 10..opus + 12)?.try_into().ok()?;
        return Some((OPUS_RATE, u16::from_le_bytes(skipped).into()));
    }
    let vorbis = at(b"\x01vorbis")?;
    let rate = u32::from_le_bytes(bytes.get(vorbis + 12..vorbis + 16)?.try_into().ok()?);
    (rate > 0).then_some((rate.into(), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(granule: u64, packet: &[u8]) -> Vec<u8> {
        let mut page = b"OggS\0\0".to_vec();
        page.extend(granule.to_le_bytes());
        page.extend([0; 12]);
        page.extend([1, packet.len() as u8]);
        page.extend(packet);
        page
    }

    #[test]
    fn the_last_page_says_how_long_it_plays() {
        let head = b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0";
        let file = |end| [page(0, head), page(end, b"sound")].concat();
        assert_eq!(seconds(&file(312 + 48_000 * 3)), Some(3));
        assert_eq!(seconds(&file(312 + 48_000 * 3 + 1)), Some(4));
        assert_eq!(seconds(&file(0)), None, "it ends before it begins");
        assert_eq!(seconds(&file(u64::MAX)), None);
        assert_eq!(seconds(b"OggS"), None);
        assert_eq!(seconds(b"ID3"), None);
    }
}
