//! What a model makes of the questions and answers that its system prompt holds as `Q: …` and `A: …` lines.

use serde_json::Value;

use crate::model::text_of;

/// Who asks for one of these asks for a person.
const PERSON: [&str; 8] = [
    "person",
    "human",
    "pessoa",
    "atendente",
    "humano",
    "gerente",
    "alguem",
    "someone",
];

/// An answer from what the system prompt knows; `None` where it knows nothing.
pub(crate) fn answer(request: &Value, said: &str) -> Option<String> {
    let system = system_text(request);
    let known = pairs(&system);
    if known.is_empty() {
        return None;
    }
    let asked = words(said);
    if system.contains("HANDOFF") && asked.iter().any(|word| PERSON.contains(&word.as_str())) {
        return Some("HANDOFF".to_owned());
    }
    // A customer who writes several messages in a row gets each of them answered.
    let mut answers: Vec<&str> = said.lines().filter_map(|line| best(&known, line)).collect();
    answers.dedup();
    if !answers.is_empty() {
        return Some(answers.join("\n"));
    }
    let examples: Vec<_> = known
        .iter()
        .take(2)
        .map(|(question, _)| question.as_str())
        .collect();
    Some(format!(
        "you said: {said}\n\nI am a simulated model. Ask me for example: {} Or ask for a person.",
        examples.join(" ")
    ))
}

/// The answer to the question that shares most with `said`, if any shares anything. Of several the first is meant.
fn best<'a>(known: &'a [(String, String)], said: &str) -> Option<&'a str> {
    let asked = stems(said);
    let shared = |question: &str| stems(question).iter().filter(|stem| asked.contains(stem)).count();
    let (question, answer) = known.iter().rev().max_by_key(|(question, _)| shared(question))?;
    (shared(question) > 0).then_some(answer.as_str())
}

fn system_text(request: &Value) -> String {
    let messages = request["messages"].as_array().into_iter().flatten();
    let system: Vec<_> = messages
        .filter(|message| message["role"] == "system")
        .map(text_of)
        .collect();
    system.join("\n")
}

fn pairs(system: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for line in system.lines() {
        if let Some(question) = line.strip_prefix("Q: ") {
            pairs.push((question.to_owned(), String::new()));
        } else if let (Some(answer), Some(last)) = (line.strip_prefix("A: "), pairs.last_mut()) {
            answer.clone_into(&mut last.1);
        }
    }
    pairs.retain(|(_, answer)| !answer.is_empty());
    pairs
}

/// The beginnings of the words that say what is asked about, so that `horas` and `horário` meet.
fn stems(text: &str) -> Vec<String> {
    const ASKING: [&str; 8] = ["voce", "qual", "quai", "para", "como", "onde", "what", "have"];
    let long = words(text).into_iter().filter(|word| word.chars().count() > 3);
    let stems = long.map(|word| word.chars().take(4).collect::<String>());
    stems.filter(|stem| !ASKING.contains(&stem.as_str())).collect()
}

/// The words in lower case, without the accents that people leave out.
fn words(text: &str) -> Vec<String> {
    let plain = |letter: char| match letter {
        'á' | 'à' | 'â' | 'ã' => 'a',
        'é' | 'ê' => 'e',
        'í' => 'i',
        'ó' | 'ô' | 'õ' => 'o',
        'ú' | 'ü' => 'u',
        'ç' => 'c',
        other => other,
    };
    let text: String = text.to_lowercase().chars().map(plain).collect();
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(said: &str) -> Option<String> {
        let system = "Say HANDOFF if you must.\n\nQ: Vocês fazem entrega?\nA: Sim, até 5 km.\n\nQ: Qual o horário?\nA: Das 7 às 19h.";
        let request =
            json!({"messages": [{"role": "system", "content": system}, {"role": "user", "content": said}]});
        answer(&request, said)
    }

    #[test]
    fn it_answers_from_what_it_is_told() {
        assert_eq!(asked("fazem entrega hoje?").as_deref(), Some("Sim, até 5 km."));
        assert_eq!(asked("que horas vocês abrem?").as_deref(), Some("Das 7 às 19h."));
    }

    #[test]
    fn it_answers_every_line_that_it_knows_and_none_twice() {
        let told = asked("oi\nfazem entrega?\nentrega mesmo?\nque horas vocês abrem?");
        assert_eq!(told.as_deref(), Some("Sim, até 5 km.\nDas 7 às 19h."));
    }

    #[test]
    fn it_asks_for_a_person_when_the_customer_does() {
        assert_eq!(asked("quero falar com um atendente").as_deref(), Some("HANDOFF"));
    }

    #[test]
    fn it_repeats_what_it_does_not_know_and_says_what_it_knows() {
        let told = asked("hello").expect("told");
        assert!(
            told.starts_with("you said: hello") && told.contains("entrega"),
            "{told}"
        );
    }

    #[test]
    fn without_knowledge_it_says_nothing() {
        assert_eq!(answer(&json!({"messages": []}), "hello"), None);
    }
}
