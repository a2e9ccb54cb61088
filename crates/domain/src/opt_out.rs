//! Words by which a contact asks for silence, or for messages again.
use serde::{Deserialize, Serialize};

/// What a contact asks for. Carriers and Twilio require that the whole body be the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptOut {
    /// No more messages to this address.
    Stop,
    /// Messages again.
    Start,
    /// How this works.
    Help,
}

/// Source: Twilio's default words in English, and those people use in Portuguese and Spanish.
const STOP: [&str; 14] = [
    "stop",
    "stopall",
    "unsubscribe",
    "cancel",
    "end",
    "quit",
    "optout",
    "revoke",
    "parar",
    "pare",
    "descadastrar",
    "sair",
    "cancelar",
    "baja",
];
const START: [&str; 4] = ["start", "unstop", "voltar", "alta"];
const HELP: [&str; 4] = ["help", "info", "ajuda", "ayuda"];

impl OptOut {
    /// What a message asks for, if anything. Twilio's own `OptOutType` comes first; else the whole body,
    /// trimmed and in any case, must be one of the words. A sentence that contains one asks for nothing.
    pub fn of(body: &str, twilio_type: Option<&str>) -> Option<Self> {
        let by_twilio = twilio_type.and_then(|word| match word.trim().to_ascii_uppercase().as_str() {
            "STOP" => Some(Self::Stop),
            "START" => Some(Self::Start),
            "HELP" => Some(Self::Help),
            _ => None,
        });
        by_twilio.or_else(|| {
            let word = body.trim().to_lowercase();
            let is = |words: &[&str]| words.contains(&word.as_str());
            match () {
                () if is(&STOP) => Some(Self::Stop),
                () if is(&START) => Some(Self::Start),
                () if is(&HELP) => Some(Self::Help),
                () => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_body_must_be_the_word() {
        assert_eq!(OptOut::of(" Parar\n", None), Some(OptOut::Stop));
        assert_eq!(OptOut::of("STOP", None), Some(OptOut::Stop));
        assert_eq!(OptOut::of("voltar", None), Some(OptOut::Start));
        assert_eq!(OptOut::of("Ayuda", None), Some(OptOut::Help));
        assert_eq!(OptOut::of("quero cancelar o bolo", None), None);
        assert_eq!(OptOut::of("yes", None), None);
        assert_eq!(OptOut::of("", None), None);
    }

    #[test]
    fn twilios_own_word_comes_first() {
        assert_eq!(OptOut::of("chega, por favor", Some("STOP")), Some(OptOut::Stop));
        assert_eq!(OptOut::of("stop", Some("HELP")), Some(OptOut::Help));
        assert_eq!(OptOut::of("stop", Some("")), Some(OptOut::Stop));
    }
}
