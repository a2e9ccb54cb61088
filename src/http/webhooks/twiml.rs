//! What Twilio is told to do with a call.
//!
//! Source: <https://www.twilio.com/docs/voice/twiml>.
use recado_store::owners::Voice;

/// Says the owner's greeting and, if the owner wants that, records a message; the recording is reported to `recorded`.
///
/// The last verb ends the call where nothing was said: a `<Record>` that heard silence goes on to the next verb, and one
/// that heard something asks this address again, which then says [`hang_up`].
pub(super) fn greet(voice: &Voice, recorded: &str) -> String {
    let say = said(&voice.language, &voice.greeting);
    let record = match voice.voicemail {
        false => String::new(),
        true => format!(
            "<Record maxLength=\"{}\" playBeep=\"true\" recordingStatusCallback=\"{}\" \
             recordingStatusCallbackEvent=\"in-progress completed absent\"/>",
            voice.max_seconds,
            escaped(recorded)
        ),
    };
    response(&format!("{say}{record}<Hangup/>"))
}

/// Says a text, and ends the call.
pub(crate) fn say(language: &str, text: &str) -> String {
    response(&said(language, text))
}

/// Ends the call.
pub(super) fn hang_up() -> String {
    response("<Hangup/>")
}

/// Does not take the call: the caller hears Twilio's own words for a number that is not in service, and nobody pays.
pub(super) fn reject() -> String {
    response("<Reject reason=\"rejected\"/>")
}

fn said(language: &str, text: &str) -> String {
    format!("<Say language=\"{}\">{}</Say>", escaped(language), escaped(text))
}

fn response(verbs: &str) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>{verbs}</Response>")
}

/// A text in XML. What XML 1.0 cannot hold at all is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\n' | '\t' => out.push(' '),
            char if char.is_control() || matches!(char, '\u{FFFE}' | '\u{FFFF}') => {}
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_cannot_become_a_verb() {
        let voice = Voice {
            greeting: "A & B</Say><Dial>+1900</Dial>\u{0}\n\"'".to_owned(),
            language: "pt-BR\"/>".to_owned(),
            voicemail: true,
            max_seconds: 30,
        };
        let twiml = greet(&voice, "https://a.example/?a=1&b=2");
        assert!(
            twiml.contains("A &amp; B&lt;/Say&gt;&lt;Dial&gt;+1900&lt;/Dial&gt; &quot;&apos;"),
            "{twiml}"
        );
        assert!(twiml.contains("language=\"pt-BR&quot;/&gt;\""), "{twiml}");
        assert!(
            twiml.contains("recordingStatusCallback=\"https://a.example/?a=1&amp;b=2\""),
            "{twiml}"
        );
        assert!(!twiml.contains("<Dial"), "{twiml}");
    }

    #[test]
    fn without_voicemail_nothing_is_recorded() {
        let voice = Voice {
            greeting: "Olá".to_owned(),
            language: "pt-BR".to_owned(),
            voicemail: false,
            max_seconds: 30,
        };
        assert!(
            greet(&voice, "https://a.example/")
                .ends_with("<Say language=\"pt-BR\">Olá</Say><Hangup/></Response>")
        );
    }
}
