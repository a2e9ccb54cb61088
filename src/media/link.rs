//! Links to attachments that hold for some minutes, for whoever has them.
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use recado_domain::OwnerId;
use serde::Deserialize;
use sha2::Sha256;
use url::form_urlencoded;

use crate::config::{Config, derived_key};

/// A link made now holds from one to two of these, in seconds; made again within one it is the same, so that a page that
/// follows what happens does not load its pictures anew.
const STEP: i64 = 600;

/// Makes links, and checks them.
pub(crate) struct Links {
    key: [u8; 64],
}

/// What a link says besides the attachment's id.
#[derive(Debug, Deserialize)]
pub(crate) struct Link {
    owner: String,
    /// When it ends, in Unix seconds.
    until: i64,
    /// What proves that we made it.
    sign: String,
}

/// Why a link leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadLink {
    /// Nobody here made it.
    Forged,
    /// Its time is over.
    Over,
}

impl Links {
    pub(crate) fn new(config: &Config) -> Self {
        let secrets: Vec<_> = config.secret_key.iter().collect();
        Self {
            key: derived_key("media links", &secrets),
        }
    }

    /// The path of an attachment's file. That of its small picture is below it, see [`Links::small`].
    pub(crate) fn file(&self, owner: &OwnerId, id: &str, now: i64) -> String {
        self.path(owner, id, "", now)
    }

    /// The path of an attachment's small picture.
    pub(crate) fn small(&self, owner: &OwnerId, id: &str, now: i64) -> String {
        self.path(owner, id, "/small", now)
    }

    fn path(&self, owner: &OwnerId, id: &str, form: &str, now: i64) -> String {
        let until = (now.div_euclid(STEP) + 2) * STEP;
        let sign = URL_SAFE_NO_PAD.encode(self.mac(owner.as_str(), id, until).finalize().into_bytes());
        let owner: String = form_urlencoded::byte_serialize(owner.as_str().as_bytes()).collect();
        format!("/media/{id}{form}?owner={owner}&until={until}&sign={sign}")
    }

    /// The owner for whom a link leads to the attachment `id`.
    ///
    /// # Errors
    /// [`BadLink`].
    pub(crate) fn check(&self, link: &Link, id: &str, now: i64) -> Result<OwnerId, BadLink> {
        let given = URL_SAFE_NO_PAD.decode(&link.sign).map_err(|_| BadLink::Forged)?;
        // Compared in constant time.
        self.mac(&link.owner, id, link.until)
            .verify_slice(&given)
            .map_err(|_| BadLink::Forged)?;
        match link.until > now {
            true => Ok(OwnerId::from(link.owner.as_str())),
            false => Err(BadLink::Over),
        }
    }

    fn mac(&self, owner: &str, id: &str, until: i64) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length");
        // Lengths first: no owner's id can be continued by an attachment's.
        mac.update(format!("{} {} {until} {owner}{id}", owner.len(), id.len()).as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(path: &str) -> (String, Link) {
        let (before, query) = path.split_once('?').expect("a query");
        let id = before.trim_start_matches("/media/").trim_end_matches("/small");
        (id.to_owned(), serde_urlencoded::from_str(query).expect("a link"))
    }

    #[test]
    fn a_link_holds_for_its_attachment_its_owner_and_its_time_alone() {
        let links = Links { key: [7; 64] };
        let owner = OwnerId::from("padaria & filhos");
        let now = 1_800_000_123;
        let path = links.file(&owner, "01ABC", now);
        assert_eq!(links.file(&owner, "01ABC", now + 1), path, "the same for a while");
        let (id, mut link) = link(&path);
        assert_eq!(links.check(&link, &id, now), Ok(owner.clone()));
        assert_eq!(links.check(&link, &id, now + 599), Ok(owner));
        assert_eq!(links.check(&link, &id, now + 1_200), Err(BadLink::Over));
        assert_eq!(links.check(&link, "01ABD", now), Err(BadLink::Forged));
        assert_eq!(
            Links { key: [8; 64] }.check(&link, &id, now),
            Err(BadLink::Forged)
        );
        link.until += 600;
        assert_eq!(links.check(&link, &id, now), Err(BadLink::Forged));
        link.until -= 600;
        link.owner = "padaria & filho".to_owned();
        assert_eq!(links.check(&link, &id, now), Err(BadLink::Forged));
        link.sign = "?".to_owned();
        assert_eq!(links.check(&link, &id, now), Err(BadLink::Forged));
    }
}
