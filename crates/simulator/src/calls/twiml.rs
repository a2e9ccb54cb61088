//! TwiML, read as far as the simulator follows it.

/// One verb of a `<Response>`.
#[derive(Debug, PartialEq)]
pub(super) struct Verb {
    pub(super) name: String,
    attributes: Vec<(String, String)>,
    /// What stands in it, without markup.
    pub(super) text: String,
}

impl Verb {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The verbs of a document, in order; `None` if it is no TwiML.
pub(super) fn parse(text: &str) -> Option<Vec<Verb>> {
    let begin = text.find("<Response")?;
    let mut rest = &text[begin..];
    let mut open: Vec<String> = Vec::new();
    let mut verbs: Vec<Verb> = Vec::new();
    loop {
        let at = rest.find('<')?;
        if open.len() > 1
            && let Some(verb) = verbs.last_mut()
        {
            verb.text.push_str(&unescaped(&rest[..at]));
        }
        let end = rest.find('>')?;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if tag.starts_with(['!', '?']) {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop()? != name.trim() {
                return None;
            }
            if open.is_empty() {
                return Some(verbs);
            }
            continue;
        }
        let is_empty = tag.ends_with('/');
        let (name, attributes) = element(tag.trim_end_matches('/'))?;
        if open.len() == 1 {
            verbs.push(Verb {
                name: name.clone(),
                attributes,
                text: String::new(),
            });
        }
        match (is_empty, open.is_empty()) {
            (false, _) => open.push(name),
            (true, true) => return Some(verbs),
            (true, false) => {}
        }
    }
}

fn element(tag: &str) -> Option<(String, Vec<(String, String)>)> {
    let (name, mut rest) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
    let mut attributes = Vec::new();
    while let Some((key, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let quote = after.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let (value, left) = after[1..].split_once(quote)?;
        attributes.push((key.trim().to_owned(), unescaped(value)));
        rest = left;
    }
    Some((name.to_owned(), attributes))
}

fn unescaped(text: &str) -> String {
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ];
    entities
        .iter()
        .fold(text.to_owned(), |text, (entity, char)| text.replace(entity, char))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_come_with_their_attributes_and_text() {
        let text = "<?xml version=\"1.0\"?><Response><Say language=\"pt-BR\">A &amp; &lt;B</Say>\
                    <Record maxLength='30' action=\"https://a.example/?a=1&amp;b=2\"/><Hangup/></Response>";
        let verbs = parse(text).expect("TwiML");
        let names: Vec<_> = verbs.iter().map(|verb| verb.name.as_str()).collect();
        assert_eq!(names, ["Say", "Record", "Hangup"]);
        assert_eq!(
            (verbs[0].text.as_str(), verbs[0].attribute("language")),
            ("A & <B", Some("pt-BR"))
        );
        assert_eq!(verbs[1].attribute("action"), Some("https://a.example/?a=1&b=2"));
        assert_eq!(verbs[1].attribute("maxLength"), Some("30"));
    }

    #[test]
    fn what_is_not_twiml_is_not_followed() {
        for text in [
            "",
            "hello",
            "<Response>",
            "<Response><Say>x</Response>",
            "<Response><Say a=1>x</Say></Response>",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("<Response/>"), Some(Vec::new()));
    }
}
