//! `multipart/form-data`, parsed by hand. Source: RFC 7578, RFC 2046.

/// One part of a form.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) name: String,
    /// Only of a file.
    pub(crate) file_name: Option<String>,
    pub(crate) bytes: Vec<u8>,
}

/// The parts of a body; none if it is no such form.
pub(crate) fn parts(content_type: &str, body: &[u8]) -> Vec<Part> {
    let boundary = content_type
        .starts_with("multipart/form-data")
        .then(|| parameter(content_type, "boundary"))
        .flatten();
    let Some(boundary) = boundary else {
        return Vec::new();
    };
    let mark = format!("--{boundary}").into_bytes();
    let mut found = Vec::new();
    let mut rest = body;
    while let Some(begin) = position(rest, &mark) {
        rest = &rest[begin + mark.len()..];
        let end = position(rest, &mark).unwrap_or(rest.len());
        found.extend(part(&rest[..end]));
    }
    found
}

fn part(bytes: &[u8]) -> Option<Part> {
    let bytes = bytes.strip_prefix(b"\r\n")?;
    let bytes = bytes.strip_suffix(b"\r\n").unwrap_or(bytes);
    let end = position(bytes, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let disposition = head
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    Some(Part {
        name: parameter(disposition, "name")?,
        file_name: parameter(disposition, "filename"),
        bytes: bytes[end + 4..].to_vec(),
    })
}

fn parameter(header: &str, wanted: &str) -> Option<String> {
    header.split(';').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        (name.trim() == wanted).then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_files_are_told_apart() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b\r\n\
            Content-Disposition: form-data; name=\"file\"; filename=\"a.ogg\"\r\nContent-Type: audio/ogg\r\n\r\n\0\r\n\xff\r\n--b--\r\n";
        let parts = parts("multipart/form-data; boundary=b", body);
        assert_eq!(parts.len(), 2);
        assert_eq!(
            (parts[0].name.as_str(), parts[0].bytes.as_slice()),
            ("model", &b"whisper-1"[..])
        );
        assert_eq!(parts[1].file_name.as_deref(), Some("a.ogg"));
        assert_eq!(parts[1].bytes, b"\0\r\n\xff");
    }
}
