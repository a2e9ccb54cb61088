//! From where an owner can send, and from where it sends to one contact.
use recado_domain::{Address, Channel, InvalidAddress, OwnerId};
use sea_orm::ConnectionTrait;
use sha2::{Digest, Sha256};

use crate::{
    StoreError,
    accounts::{self, Sender, Service},
};

/// The word for "any of the owner's numbers, and for one contact always the same".
pub const POOL: &str = "pool";

/// From where an owner can send, oldest first.
#[derive(Clone, Debug)]
pub struct Senders {
    /// Numbers.
    pub numbers: Vec<Sender>,
    /// Messaging services, each a pool of numbers that Twilio chooses from.
    pub services: Vec<Service>,
}

/// From where one message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen<'a> {
    /// The account.
    pub account_sid: &'a str,
    /// The number; with a service that under which the message is kept, while Twilio chooses its own.
    pub address: &'a Address,
    /// The messaging service.
    pub service: Option<&'a str>,
}

/// Why there is no sender; goes on after the name of a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSender {
    /// The owner has none on the channel.
    #[error("is needed: the owner has no number for {0}; give it one first")]
    NoNumber(Channel),
    /// It is another's, or on another channel.
    #[error("is none of the owner's numbers for {0}")]
    NotOurs(Channel),
    /// The messaging service is another's.
    #[error("is none of the owner's messaging services")]
    NoService,
    /// It is neither a number, a service nor `pool`.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] InvalidAddress),
}

impl Senders {
    /// Those of an owner.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn of(conn: &impl ConnectionTrait, owner: &OwnerId) -> Result<Self, StoreError> {
        Ok(Self {
            numbers: accounts::senders(conn, owner).await?,
            services: accounts::services(conn, owner).await?,
        })
    }

    /// From where a message goes to `to`: from the number `from`, through the messaging service of that SID, from any of
    /// the owner's numbers where it is [`POOL`], or from the oldest where nothing is said.
    ///
    /// # Errors
    /// [`NoSender`] says why none fits.
    pub fn choose(&self, from: Option<&str>, to: &Address) -> Result<Chosen<'_>, NoSender> {
        let channel = to.channel();
        match from.map(str::trim) {
            None => {
                let oldest = self.on(channel).next();
                oldest.map(plain).ok_or(NoSender::NoNumber(channel))
            }
            Some(POOL) => {
                let one = stable(self.on(channel), to);
                one.map(plain).ok_or(NoSender::NoNumber(channel))
            }
            Some(sid) if is_service(sid) => {
                let service = self.services.iter().find(|service| service.sid == sid);
                let service = service.ok_or(NoSender::NoService)?;
                let ours = self
                    .on(channel)
                    .filter(|number| number.account_sid == service.account_sid);
                let number = stable(ours, to).ok_or(NoSender::NoNumber(channel))?;
                Ok(Chosen {
                    service: Some(&service.sid),
                    ..plain(number)
                })
            }
            Some(written) => {
                let written = match channel {
                    Channel::Whatsapp if !written.starts_with("whatsapp:") => format!("whatsapp:{written}"),
                    _ => written.to_owned(),
                };
                let from = Address::parse(&written)?;
                let ours = self.on(channel).find(|sender| sender.address == from);
                ours.map(plain).ok_or(NoSender::NotOurs(channel))
            }
        }
    }

    fn on(&self, channel: Channel) -> impl Iterator<Item = &Sender> {
        let numbers = self.numbers.iter();
        numbers.filter(move |sender| sender.address.channel() == channel)
    }
}

/// Whether it is the SID of a messaging service. Source: <https://www.twilio.com/docs/messaging/api/service-resource>.
fn is_service(text: &str) -> bool {
    text.strip_prefix("MG")
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn plain(sender: &Sender) -> Chosen<'_> {
    Chosen {
        account_sid: &sender.account_sid,
        address: &sender.address,
        service: None,
    }
}

/// The one whose hash with the contact is the highest: a number that is added or taken away moves no contact between the
/// others.
fn stable<'a>(numbers: impl Iterator<Item = &'a Sender>, to: &Address) -> Option<&'a Sender> {
    numbers.max_by_key(|sender| {
        let pair = format!("{}\n{}", sender.address.to_twilio(), to.to_twilio());
        Sha256::digest(pair).to_vec()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "MG0123456789abcdef0123456789abcdef";

    fn address(text: &str) -> Option<Address> {
        Address::parse(text).ok()
    }

    fn senders(count: u32) -> Senders {
        let number = |n: u32| Sender {
            account_sid: "AC1".to_owned(),
            address: address(&format!("+1415523888{n}")).unwrap_or_else(|| unreachable!("a number")),
        };
        Senders {
            numbers: (0..count).map(number).collect(),
            services: vec![Service {
                account_sid: "AC1".to_owned(),
                sid: SERVICE.to_owned(),
            }],
        }
    }

    fn contacts() -> Vec<Address> {
        (0..200)
            .filter_map(|n| address(&format!("+551198765{n:04}")))
            .collect()
    }

    #[test]
    fn a_contact_keeps_its_number_of_a_pool_also_when_the_pool_grows() {
        let (three, four) = (senders(3), senders(4));
        let (mut used, mut moved) = (std::collections::BTreeSet::new(), 0);
        for to in contacts() {
            let before = three.choose(Some(POOL), &to).map(|chosen| chosen.address.clone());
            let after = four.choose(Some(POOL), &to).map(|chosen| chosen.address.clone());
            if before != after {
                moved += 1;
                assert_eq!(
                    after.as_ref(),
                    Ok(&four.numbers[3].address),
                    "only to the new one"
                );
            }
            used.extend(before);
        }
        assert_eq!(used.len(), 3);
        assert!((20..100).contains(&moved), "{moved}");
    }

    #[test]
    fn a_sender_is_the_owners_own() {
        let (ours, to) = (senders(2), contacts().remove(0));
        let chosen = |from| ours.choose(from, &to);
        assert_eq!(chosen(None).map(|one| one.address), Ok(&ours.numbers[0].address));
        assert_eq!(
            chosen(Some("+14155238881")).map(|one| one.address),
            Ok(&ours.numbers[1].address)
        );
        assert_eq!(chosen(Some(SERVICE)).map(|one| one.service), Ok(Some(SERVICE)));
        assert_eq!(chosen(Some("+14155238889")), Err(NoSender::NotOurs(Channel::Sms)));
        let other = SERVICE.replace('0', "1");
        assert_eq!(ours.choose(Some(&other), &to), Err(NoSender::NoService));
        let whatsapp = address("whatsapp:+5511987654321").map(|to| ours.choose(Some(POOL), &to).err());
        assert_eq!(whatsapp, Some(Some(NoSender::NoNumber(Channel::Whatsapp))));
    }
}
