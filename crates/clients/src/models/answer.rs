//! Reads a chat completion as leniently as the variety of servers demands.

use serde_json::Value;

use super::Reply;

/// The reply within an answer of the API, or what is wrong with it.
///
/// `requested` is the model that was asked, for servers that do not say which one answered.
pub(super) fn reply(
    answer: &Value,
    provider: &str,
    requested: &str,
    json: bool,
) -> Result<Reply, &'static str> {
    let choice = answer.pointer("/choices/0").ok_or("the answer has no choices")?;
    let message = choice.get("message").ok_or("the answer has no message")?;
    if message
        .get("refusal")
        .and_then(Value::as_str)
        .is_some_and(|refusal| !refusal.is_empty())
    {
        return Err("the model declines to answer");
    }
    if choice.get("finish_reason").and_then(Value::as_str) == Some("content_filter") {
        return Err("the provider withheld the answer");
    }
    let content = content(message).ok_or("the answer has no text")?;
    let said = without_thoughts(&content);
    let text = if json { object(said)? } else { said };
    if text.is_empty() {
        return Err("the answer is empty");
    }
    Ok(Reply {
        text: text.to_owned(),
        model: answer
            .get("model")
            .and_then(Value::as_str)
            .filter(|model| !model.is_empty())
            .unwrap_or(requested)
            .to_owned(),
        provider: provider.to_owned(),
        prompt_tokens: tokens(answer, "/usage/prompt_tokens"),
        completion_tokens: tokens(answer, "/usage/completion_tokens"),
    })
}

/// The text, which some servers send in parts.
fn content(message: &Value) -> Option<String> {
    match message.get("content")? {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => Some(
            parts
                .iter()
                .filter_map(|part| part.get("text")?.as_str())
                .collect(),
        ),
        _ => None,
    }
}

/// Models that think aloud put it first, between `<think>` tags; it is not for the contact. Thoughts that do not end
/// were cut off before the answer began.
fn without_thoughts(content: &str) -> &str {
    let content = content.trim();
    match content.strip_prefix("<think>") {
        None => content,
        Some(thoughts) => thoughts
            .split_once("</think>")
            .map_or("", |(_, answer)| answer.trim()),
    }
}

/// The JSON object, which small models like to wrap as Markdown code.
fn object(text: &str) -> Result<&str, &'static str> {
    let unwrapped = text
        .strip_prefix("```")
        .and_then(|rest| rest.strip_suffix("```"))
        .map_or(text, |rest| rest.strip_prefix("json").unwrap_or(rest).trim());
    match serde_json::from_str(unwrapped) {
        Ok(Value::Object(_)) => Ok(unwrapped),
        _ => Err("the answer is not the JSON object that was asked for"),
    }
}

fn tokens(answer: &Value, pointer: &str) -> u32 {
    let count = answer.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn says(content: Value) -> Value {
        json!({"choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]})
    }

    fn text(content: &str, json: bool) -> Result<String, &'static str> {
        reply(&says(json!(content)), "p", "m", json).map(|reply| reply.text)
    }

    #[test]
    fn the_answer_says_who_and_how_many_tokens() {
        let mut answer = says(json!(" Olá! "));
        answer["model"] = json!("gpt-x-2025");
        answer["usage"] = json!({"prompt_tokens": 12, "completion_tokens": 3});
        let reply = reply(&answer, "openai", "gpt-x", false).expect("a reply");
        assert_eq!(
            (reply.text.as_str(), reply.model.as_str(), reply.provider.as_str()),
            ("Olá!", "gpt-x-2025", "openai")
        );
        assert_eq!((reply.prompt_tokens, reply.completion_tokens), (12, 3));
    }

    #[test]
    fn a_server_that_counts_nothing_is_as_good() {
        let reply = reply(&says(json!("hi")), "ollama", "llama", false).expect("a reply");
        assert_eq!((reply.model.as_str(), reply.prompt_tokens), ("llama", 0));
    }

    #[test]
    fn parts_are_joined() {
        let parts =
            says(json!([{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]));
        assert_eq!(reply(&parts, "p", "m", false).expect("a reply").text, "ab");
    }

    #[test]
    fn thoughts_are_not_told() {
        assert_eq!(
            text("<think>he is angry</think>\n\nSorry!", false).as_deref(),
            Ok("Sorry!")
        );
        assert_eq!(text("<think>he is", false), Err("the answer is empty"));
    }

    #[test]
    fn json_is_an_object_with_or_without_a_fence() {
        for good in [
            r#"{"a":1}"#,
            "```json\n{\"a\":1}\n```",
            "```{\"a\":1}```",
            "<think>hm</think>{\"a\":1}",
        ] {
            let said = text(good, true).expect("an object");
            assert_eq!(
                serde_json::from_str::<Value>(&said).expect("JSON"),
                json!({"a": 1})
            );
        }
        for bad in ["", "[1]", "Sure! {\"a\":1}", "{\"a\":"] {
            assert!(text(bad, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_answer_without_words_is_garbage() {
        for answer in [
            json!(null),
            json!({"choices": []}),
            json!({"choices": [{}]}),
            says(json!(null)),
            says(json!("  ")),
            json!({"choices": [{"message": {"content": "no", "refusal": "I cannot"}}]}),
            json!({"choices": [{"message": {"content": "half"}, "finish_reason": "content_filter"}]}),
        ] {
            assert!(reply(&answer, "p", "m", false).is_err(), "{answer}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(content in ".{0,60}", json: bool) {
            let _ = text(&content, json);
            let _ = text(&format!("```{content}"), json);
            let _ = text(&format!("<think>{content}"), json);
        }
    }
}
