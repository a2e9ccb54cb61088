//! Voice notes without a microphone: silence in Ogg/Opus, whose words stand in a comment, where a transcription finds
//! them again.
//!
//! Source: RFC 3533 (pages and their checksum), RFC 7845 (Opus in Ogg).

const RATE: u64 = 48_000;
/// A packet of 20 ms: a full-band frame in which nothing is coded.
const SILENCE: &[u8] = &[0xf8, 0xff, 0xfe];
const A_SECOND: u64 = 50;
/// What a person says in a second, in characters.
const SPOKEN: usize = 15;
const SAYS: &[u8] = b"SAYS=";

/// A voice note that says `words`.
pub(crate) fn speak(words: &str) -> Vec<u8> {
    let seconds = (words.chars().count().div_ceil(SPOKEN) as u64).clamp(1, 120);
    let mut head = b"OpusHead\x01\x01\0\0".to_vec();
    head.extend(u32::try_from(RATE).unwrap_or_default().to_le_bytes());
    head.extend([0, 0, 0]);
    let mut tags = b"OpusTags".to_vec();
    for text in [b"simulator".as_slice(), &[]] {
        // A vendor, and one comment.
        match text.is_empty() {
            false => tags.extend(length(text)),
            true => tags.extend(1u32.to_le_bytes()),
        }
        tags.extend(text);
    }
    tags.extend(comment(words));
    let mut file = Vec::new();
    let mut pages = 0;
    let mut page = |kind, granule, packets: &[&[u8]]| {
        file.extend(as_page(kind, granule, pages, packets));
        pages += 1;
    };
    page(2, 0, &[&head]);
    page(0, 0, &[&tags]);
    for second in 1..=seconds {
        let kind = if second == seconds { 4 } else { 0 };
        page(kind, second * RATE, &[SILENCE; A_SECOND as usize]);
    }
    file
}

/// The words of a recording, with their length in front: how [`words`] finds them in a file of whatever kind.
pub(crate) fn comment(words: &str) -> Vec<u8> {
    let comment = [SAYS, words.as_bytes()].concat();
    [length(&comment).as_slice(), &comment].concat()
}

/// What a recording says, if it is one of ours.
pub(crate) fn words(recording: &[u8]) -> Option<String> {
    let at = recording.windows(SAYS.len()).position(|found| found == SAYS)?;
    let length: [u8; 4] = recording.get(at.checked_sub(4)?..at)?.try_into().ok()?;
    let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
    let comment = recording.get(at..at.checked_add(length)?)?;
    String::from_utf8(comment.get(SAYS.len()..)?.to_vec()).ok()
}

fn length(text: &[u8]) -> [u8; 4] {
    u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes()
}

fn as_page(kind: u8, granule: u64, number: u32, packets: &[&[u8]]) -> Vec<u8> {
    let mut lacing = Vec::new();
    for packet in packets {
        lacing.extend(std::iter::repeat_n(255, packet.len() / 255));
        lacing.push(u8::try_from(packet.len() % 255).unwrap_or_default());
    }
    let mut page = [b"OggS\0".as_slice(), &[kind], &granule.to_le_bytes()].concat();
    page.extend(1u32.to_le_bytes());
    page.extend(number.to_le_bytes());
    page.extend([0; 4]);
    page.push(u8::try_from(lacing.len()).unwrap_or(u8::MAX));
    page.extend(lacing);
    page.extend(packets.concat());
    let checksum = checksum(&page);
    page[22..26].copy_from_slice(&checksum.to_le_bytes());
    page
}

fn checksum(page: &[u8]) -> u32 {
    page.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ (u32::from(*byte) << 24), |sum, _| {
            if sum & 0x8000_0000 == 0 {
                sum << 1
            } else {
                (sum << 1) ^ 0x04c1_1db7
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spoken_is_heard_again() {
        let said = "Qual é o horário? ".repeat(40);
        let recording = speak(&said);
        assert!(recording.starts_with(b"OggS"));
        assert_eq!(words(&recording).as_deref(), Some(said.as_str()));
        assert_eq!(words(b"OggS something else"), None);
    }
}
