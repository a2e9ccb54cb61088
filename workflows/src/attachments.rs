//! What is attached to a message: fetched, kept, and listened to where it is voice.
use recado_activities::{Attached, FetchMedia, Fetched, KeepMedia, KeepWords, TranscribeVoice};
use recado_domain::{Address, MessageId, OwnerId};
use recado_engine::{Context, Fault};

/// Twilio sends no more.
const MOST: usize = 10;

/// The attachments of one message.
pub(crate) struct Attachments<'a> {
    pub(crate) owner: &'a OwnerId,
    pub(crate) account: &'a str,
    pub(crate) message: &'a MessageId,
    pub(crate) contact: &'a Address,
    /// The webhook's form, which says where they are.
    pub(crate) form: &'a [(String, String)],
    /// What the message says beside them.
    pub(crate) said: &'a str,
    /// Whether voice is to be turned into text: not where nobody will answer.
    pub(crate) listen: bool,
}

/// What the message says with its attachments.
pub(crate) struct Heard {
    /// The text.
    pub(crate) text: String,
    /// What could not be read, so that the contact is told.
    pub(crate) trouble: Option<Trouble>,
}

/// What could not be read of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// A voice note that nothing here can listen to.
    Unheard,
    /// A file that could not be had, or is not what it was said to be.
    Lost,
}

impl Trouble {
    /// How the contact is told, in the owner's language; Portuguese where we do not speak that.
    pub(crate) fn notice(self, language: &str) -> &'static str {
        let language = language.split(['-', '_']).next().unwrap_or_default();
        match (self, language) {
            (Self::Unheard, "en") => {
                "We received your voice message, but cannot listen to it here. Could you write it, please?"
            }
            (Self::Unheard, "es") => {
                "Recibimos tu mensaje de voz, pero no podemos escucharlo por aquí. ¿Puedes escribirlo, por favor?"
            }
            (Self::Unheard, _) => {
                "Recebemos seu áudio, mas não conseguimos ouvi-lo por aqui. Você pode escrever a mensagem, por favor?"
            }
            (Self::Lost, "en") => {
                "We could not open the file that you sent. Could you send it again, smaller than 16 MB, or write to us?"
            }
            (Self::Lost, "es") => {
                "No pudimos abrir el archivo que enviaste. ¿Puedes enviarlo de nuevo, de menos de 16 MB, o escribirnos?"
            }
            (Self::Lost, _) => {
                "Não conseguimos abrir o arquivo que você enviou. Pode enviá-lo de novo, com menos de 16 MB, ou nos \
                 escrever?"
            }
        }
    }
}

impl Attachments<'_> {
    /// Fetches them all at once, keeps what came, and listens.
    pub(crate) async fn read(self, ctx: &mut Context) -> Result<Heard, Fault> {
        let found = self.found();
        let fetching = found.iter().map(|(url, declared)| FetchMedia {
            owner: self.owner.clone(),
            account: self.account.to_owned(),
            url: url.clone(),
            declared: declared.clone(),
        });
        let fetched: Vec<Result<Fetched, Fault>> = ctx.join(fetching.collect::<Vec<_>>()).await;
        let mut media = Vec::with_capacity(found.len());
        for (fetched, (_, declared)) in fetched.into_iter().zip(found) {
            media.push(match fetched {
                Ok(fetched) => Attached::Kept(fetched),
                Err(fault @ Fault::Cancelled { .. }) => return Err(fault),
                Err(fault) => Attached::Lost {
                    declared: declared.unwrap_or_default(),
                    error: fault.failure().message.clone(),
                },
            });
        }
        let keep = KeepMedia {
            owner: self.owner.clone(),
            message: self.message.clone(),
            contact: self.contact.clone(),
            media: media.clone(),
            listen: self.listen,
        };
        let granted = ctx.run(keep).await?;
        self.listen_to(ctx, &media, granted).await
    }

    async fn listen_to(&self, ctx: &mut Context, media: &[Attached], granted: bool) -> Result<Heard, Fault> {
        let is_lost = media.iter().any(|one| matches!(one, Attached::Lost { .. }));
        let mut trouble = is_lost.then_some(Trouble::Lost);
        let mut lines = vec![self.said.trim().to_owned()];
        let (mut voices, mut heard) = (0, 0);
        for one in media {
            let Attached::Kept(fetched) = one else { continue };
            lines.extend(fetched.words.clone());
            if !fetched.is_voice() || !self.listen {
                continue;
            }
            voices += 1;
            let text = match granted {
                true => self.transcribe(ctx, fetched).await?,
                false => None,
            };
            heard += usize::from(text.is_some());
            lines.extend(text);
        }
        if heard < voices {
            trouble = Some(Trouble::Unheard);
        }
        lines.retain(|line| !line.is_empty());
        let text = lines.join("\n");
        if granted || text != self.said.trim() {
            let keep = KeepWords {
                owner: self.owner.clone(),
                message: self.message.clone(),
                text: text.clone(),
                heard: heard > 0,
            };
            ctx.run(keep).await?;
        }
        Ok(Heard { text, trouble })
    }

    /// What is said in a recording; `None` if nothing can be heard.
    async fn transcribe(&self, ctx: &mut Context, fetched: &Fetched) -> Result<Option<String>, Fault> {
        let transcribe = TranscribeVoice {
            owner: self.owner.clone(),
            sha256: fetched.sha256.clone(),
            content_type: fetched.content_type.clone(),
        };
        match ctx.run(transcribe).await {
            Ok(text) => Ok(Some(text).filter(|text| !text.trim().is_empty())),
            Err(fault @ Fault::Cancelled { .. }) => Err(fault),
            Err(_) => Ok(None),
        }
    }

    /// Where they are, and what they are declared to be.
    fn found(&self) -> Vec<(String, Option<String>)> {
        let field = |name: String| {
            let found = self.form.iter().find(|(key, _)| *key == name);
            found
                .map(|(_, value)| value.clone())
                .filter(|value| !value.is_empty())
        };
        let at = |place| {
            Some((
                field(format!("MediaUrl{place}"))?,
                field(format!("MediaContentType{place}")),
            ))
        };
        (0..MOST).filter_map(at).collect()
    }
}
