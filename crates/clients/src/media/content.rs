//! What an attachment is, by its content; what its sender declared is only compared.

use super::{ogg, vcard};

/// An attachment that is what it was declared to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its type, such as `image/jpeg`; `application/octet-stream` where nothing is known of it.
    pub content_type: String,
    /// How long it plays, in whole seconds, begun ones included; only of what tells.
    pub seconds: Option<u32>,
    /// What it says in a line: of a contact card, name and numbers.
    pub words: Option<String>,
}

/// An attachment whose content is something else than what was declared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it was declared as {declared}, and is {found}")]
pub struct NotAsDeclared {
    /// What was declared.
    pub declared: String,
    /// What it is.
    pub found: String,
}

const UNKNOWN: &str = "application/octet-stream";
const VCARD: &str = "text/vcard";
/// Types of a sender's word are shown to people.
const LONGEST_TYPE: usize = 100;

impl Content {
    /// Looks at `bytes`, which were declared as `declared` where anything was.
    ///
    /// A picture must be a picture, audio audio, and so on; which kind of picture is told by the content. Containers
    /// that hold sound as well as pictures (MP4, 3GPP, Ogg) are what was declared. A program or a web page is never
    /// taken for a document.
    ///
    /// # Errors
    /// [`NotAsDeclared`].
    pub fn of(bytes: &[u8], declared: Option<&str>) -> Result<Self, NotAsDeclared> {
        let declared = declared.map(essence).filter(|text| !text.is_empty());
        let found = sniff(bytes);
        let Some(content_type) = fitting(found, declared.as_deref()) else {
            return Err(NotAsDeclared {
                declared: declared.unwrap_or_else(|| "nothing in particular".to_owned()),
                found: found.unwrap_or("of no such type").to_owned(),
            });
        };
        Ok(Self {
            seconds: ogg::seconds(bytes),
            words: (content_type == VCARD).then(|| vcard::words(bytes)).flatten(),
            content_type,
        })
    }

    /// Whether it is sound.
    pub fn is_audio(&self) -> bool {
        self.content_type.starts_with("audio/")
    }
}

/// `Audio/OGG; codecs=opus` is `audio/ogg`.
fn essence(declared: &str) -> String {
    let plain = declared.split(';').next().unwrap_or_default().trim();
    let plain: String = plain.chars().take(LONGEST_TYPE).collect();
    plain.to_ascii_lowercase()
}

/// What the content says; `None` where it says nothing.
fn sniff(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"BEGIN:VCARD") {
        return Some(VCARD);
    }
    match infer::get(bytes).map(|found| found.mime_type()) {
        Some("audio/opus") => Some("audio/ogg"),
        Some("audio/m4a") => Some("audio/mp4"),
        Some("audio/x-wav") => Some("audio/wav"),
        Some("text/xml") => Some("text/plain"),
        Some(found) => Some(found),
        None if is_3gpp(bytes) => Some("video/3gpp"),
        None if std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0')) => Some("text/plain"),
        None => None,
    }
}

/// Source: 3GPP TS 26.244, section 5.3: brands that begin with `3gp`.
fn is_3gpp(bytes: &[u8]) -> bool {
    bytes.get(4..11).is_some_and(|brand| brand == b"ftyp3gp")
}

/// The type under which it is kept; `None` where it is not what was declared.
fn fitting(found: Option<&'static str>, declared: Option<&str>) -> Option<String> {
    let harmful = found.is_some_and(|found| {
        found.contains("executable") || matches!(found, "text/html" | "text/x-shellscript")
    });
    if harmful {
        return None;
    }
    let Some(declared) = declared else {
        return Some(found.unwrap_or(UNKNOWN).to_owned());
    };
    let kind = |of: &str| of.split('/').next().unwrap_or_default().to_owned();
    match (kind(declared).as_str(), found) {
        ("image" | "audio" | "video", Some(found)) if kind(found) == kind(declared) => Some(found.to_owned()),
        ("audio" | "video", Some(found)) if holds_both(found) => Some(declared.to_owned()),
        ("image" | "audio" | "video", _) => None,
        ("text", Some("text/plain")) if is_plain(declared) => Some(declared.to_owned()),
        ("text", Some(found)) if kind(found) == "text" => Some(found.to_owned()),
        ("text", _) => None,
        _ if declared == "application/pdf" => (found == Some("application/pdf")).then(|| declared.to_owned()),
        _ => Some(found.unwrap_or(UNKNOWN).to_owned()),
    }
}

fn holds_both(found: &str) -> bool {
    matches!(
        found,
        "video/mp4" | "audio/mp4" | "video/3gpp" | "audio/ogg" | "video/ogg" | "video/webm"
    )
}

/// Texts that no browser runs.
fn is_plain(declared: &str) -> bool {
    matches!(declared, "text/plain" | "text/csv" | "text/calendar")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0";
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    const MP4: &[u8] = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom";
    const HTML: &[u8] = b"<!DOCTYPE html><script>alert(1)</script>";

    fn kept(bytes: &[u8], declared: &str) -> Option<String> {
        Content::of(bytes, Some(declared))
            .ok()
            .map(|content| content.content_type)
    }

    #[test]
    fn the_content_tells_the_type_and_must_be_of_the_declared_kind() {
        for (bytes, declared, expected) in [
            (JPEG, "image/jpeg", Some("image/jpeg")),
            (PNG, "IMAGE/JPEG; q=1", Some("image/png")),
            (JPEG, "audio/ogg", None),
            (HTML, "image/jpeg", None),
            (HTML, "application/octet-stream", None),
            (HTML, "text/plain", None),
            (b"MZ\x90\0", "application/msword", None),
            (MP4, "audio/mp4", Some("audio/mp4")),
            (MP4, "video/mp4", Some("video/mp4")),
            (b"%PDF-1.7 ", "application/pdf", Some("application/pdf")),
            (JPEG, "application/pdf", None),
            (b"a;b\n1;2", "text/csv", Some("text/csv")),
            (b"\x01\x02\x03\xff", "application/x-odd", Some(UNKNOWN)),
            (b"\x01\x02\x03\xff", "image/jpeg", None),
            (b"", "image/jpeg", None),
        ] {
            assert_eq!(kept(bytes, declared).as_deref(), expected, "{declared}");
        }
        let undeclared = Content::of(PNG, None).expect("kept");
        assert_eq!(undeclared.content_type, "image/png");
    }

    #[test]
    fn a_contact_card_says_who_it_is() {
        let card =
            b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ana Souza\r\nTEL;TYPE=CELL:+55 11 98765-0001\r\nEND:VCARD";
        let content = Content::of(card, Some("text/x-vcard")).expect("kept");
        assert_eq!(content.content_type, VCARD);
        assert_eq!(content.words.as_deref(), Some("👤 Ana Souza: +55 11 98765-0001"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), declared in prop::option::of(".{0,20}")) {
            let _ = Content::of(&bytes, declared.as_deref());
            let _ = Content::of(&[b"OggS".as_slice(), &bytes, b"OggS", &bytes].concat(), Some("audio/ogg"));
            let _ = Content::of(&[b"BEGIN:VCARD".as_slice(), &bytes].concat(), None);
        }
    }
}
