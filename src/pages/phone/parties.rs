//! Who talks to whom, and by which way.
use serde::Deserialize;

/// A person whose telephone one may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contact {
    pub(super) name: &'static str,
    pub(super) number: &'static str,
}

pub(super) const CONTACTS: [Contact; 3] = [
    Contact {
        name: "Ana Souza",
        number: "+5511987650001",
    },
    Contact {
        name: "Bruno Lima",
        number: "+5521976540002",
    },
    Contact {
        name: "Carmen Ruiz",
        number: "+34612340003",
    },
];

/// A number that can be written to, and by which ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Business {
    pub(super) label: String,
    pub(super) number: String,
    pub(super) whatsapp: bool,
    pub(super) sms: bool,
}

impl Business {
    /// The ways, as the script reads them.
    pub(super) fn ways(&self) -> String {
        let ways = [("whatsapp", self.whatsapp), ("sms", self.sms)];
        ways.into_iter()
            .filter(|(_, is)| *is)
            .map(|(way, _)| way)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// The numbers behind `addresses`, each once: `whatsapp:+…` and `+…` may be the same number.
pub(super) fn businesses(addresses: &[(String, String)]) -> Vec<Business> {
    let mut found: Vec<Business> = Vec::new();
    for (label, address) in addresses {
        let (whatsapp, number) = match address.strip_prefix("whatsapp:") {
            Some(number) => (true, number),
            None => (false, address.as_str()),
        };
        match found.iter_mut().find(|business| business.number == number) {
            Some(business) => {
                let common = common(&business.label, label).len();
                business.label.truncate(common);
                business.whatsapp |= whatsapp;
                business.sms |= !whatsapp;
            }
            None => found.push(Business {
                label: label.clone(),
                number: number.to_owned(),
                whatsapp,
                sms: !whatsapp,
            }),
        }
    }
    found
}

/// What two labels of one number agree on: `Padaria` of `Padaria (SMS)` and `Padaria (WhatsApp)`.
fn common<'a>(one: &'a str, other: &str) -> &'a str {
    let same = one.char_indices().zip(other.chars()).find(|((_, a), b)| a != b);
    let end = same.map_or(one.len().min(other.len()), |((at, _), _)| at);
    let prefix = one[..end].trim_end_matches([' ', '(']);
    if prefix.is_empty() { one } else { prefix }
}

/// The two ends of a conversation, and its channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Parties {
    pub(super) contact: String,
    pub(super) business: String,
    pub(super) channel: String,
}

impl Parties {
    /// The same, with what is missing or impossible replaced by the first choice.
    pub(super) fn or_first(mut self, businesses: &[Business]) -> Self {
        let e164 = |text: &str| {
            let digits = text.strip_prefix('+').unwrap_or_default();
            (6..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !e164(&self.contact) {
            CONTACTS[0].number.clone_into(&mut self.contact);
        }
        let business = businesses
            .iter()
            .find(|business| business.number == self.business)
            .or(businesses.first());
        let Some(business) = business else { return self };
        business.number.clone_into(&mut self.business);
        let possible = match self.channel.as_str() {
            "whatsapp" => business.whatsapp,
            "sms" => business.sms,
            _ => false,
        };
        if !possible {
            self.channel = if business.whatsapp { "whatsapp" } else { "sms" }.to_owned();
        }
        self
    }

    pub(super) fn contact_address(&self) -> String {
        self.address(&self.contact)
    }

    pub(super) fn business_address(&self) -> String {
        self.address(&self.business)
    }

    fn address(&self, number: &str) -> String {
        if self.channel == "whatsapp" {
            format!("whatsapp:{number}")
        } else {
            number.to_owned()
        }
    }

    /// Whether the contact is none of those we have names for.
    pub(super) fn is_stranger(&self) -> bool {
        CONTACTS.iter().all(|contact| contact.number != self.contact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padaria() -> Vec<Business> {
        let (sms, whatsapp) = ("Padaria (SMS)".to_owned(), "Padaria (WhatsApp)".to_owned());
        businesses(&[
            (sms, "+5511900000001".to_owned()),
            (whatsapp, "whatsapp:+5511900000001".to_owned()),
            ("Oficina".to_owned(), "+14155550100".to_owned()),
        ])
    }

    #[test]
    fn a_number_with_two_channels_is_one_choice() {
        let choices: Vec<_> = padaria()
            .iter()
            .map(|it| format!("{}: {}", it.label, it.ways()))
            .collect();
        assert_eq!(choices, ["Padaria: whatsapp sms", "Oficina: sms"]);
    }

    #[test]
    fn what_cannot_be_is_replaced_by_the_first_choice() {
        let asked = Parties {
            contact: "+1<b>".to_owned(),
            business: "+14155550100".to_owned(),
            channel: "whatsapp".to_owned(),
        };
        let parties = asked.or_first(&padaria());
        assert_eq!(parties.contact_address(), CONTACTS[0].number);
        assert_eq!(parties.business_address(), "+14155550100");
        assert_eq!(
            Parties::default().or_first(&padaria()).business_address(),
            "whatsapp:+5511900000001"
        );
    }
}
