//! Lists what is attached to a message, as a webhook that never came would have told.
//!
//! Source: <https://www.twilio.com/docs/messaging/api/media-resource>.

use serde::Deserialize;

use super::{Client, Credentials, Media, TwilioError};

#[derive(Deserialize)]
struct List {
    media_list: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    sid: String,
    content_type: Option<String>,
}

impl Client {
    /// What is attached to a message, at most ten.
    ///
    /// # Errors
    /// [`TwilioError`].
    pub async fn list_media(
        &self,
        credentials: &Credentials,
        message_sid: &str,
    ) -> Result<Vec<Media>, TwilioError> {
        let account = &credentials.account_sid;
        let url = self.url(account, &["Messages", message_sid, "Media"]);
        let list: List = self.send(credentials, self.http.get(url)).await?;
        let media = |one: Resource| {
            let url = self.url(account, &["Messages", message_sid, "Media", &one.sid]);
            Media {
                url: url.as_str().trim_end_matches(".json").to_owned(),
                content_type: one.content_type,
            }
        };
        Ok(list.media_list.into_iter().take(10).map(media).collect())
    }
}
