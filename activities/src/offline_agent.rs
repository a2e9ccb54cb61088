//! The agent that needs no model: it routes by keywords, answers from the owner's questions and answers, or says
//! honestly that a person will answer.
use recado_store::knowledge::{Question, Specialist};

/// A question must share more than this part of its words with the message before its answer is given: half of two
/// words may be a mere "vocês".
const ENOUGH: f64 = 0.5;

/// The specialist whose keywords the message holds most of, and how sure that is, from 0 to 1.
pub(crate) fn route(message: &str, specialists: &[Specialist]) -> Option<(String, f64)> {
    let words = words(message);
    let hits = |specialist: &Specialist| {
        specialist
            .keywords
            .iter()
            .filter(|keyword| contains(&words, keyword))
            .count()
    };
    let best = specialists
        .iter()
        .map(|specialist| (hits(specialist), specialist))
        .max_by_key(|(hits, _)| *hits)?;
    match best {
        (0, _) => None,
        (hits, specialist) => Some((specialist.name.clone(), (0.5 + 0.2 * hits as f64).min(0.95))),
    }
}

/// The answer to the question that the message asks most likely, if it asks any.
pub(crate) fn answer<'a>(message: &str, questions: &'a [Question]) -> Option<&'a Question> {
    let asked = words(message);
    let score = |question: &Question| {
        let keyword = question.keywords.iter().any(|keyword| contains(&asked, keyword));
        let known = significant(words(&question.question));
        let shared = known.iter().filter(|word| asked.contains(word)).count();
        let part = if known.is_empty() {
            0.0
        } else {
            shared as f64 / known.len() as f64
        };
        if keyword { part.max(ENOUGH) + 0.1 } else { part }
    };
    let best = questions
        .iter()
        .map(|question| (score(question), question))
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > ENOUGH).then_some(best.1)
}

/// The answers to the questions that messages of a burst ask, each once and in order; and whether every message is
/// answered. A question may be spread over several messages, none of which asks it by itself.
pub(crate) fn answers<'a>(messages: &[&str], questions: &'a [Question]) -> (Vec<&'a str>, bool) {
    let found: Vec<_> = messages
        .iter()
        .map(|message| answer(message, questions))
        .collect();
    let all = found.iter().all(Option::is_some);
    let mut known: Vec<&str> = Vec::new();
    for question in found.into_iter().flatten() {
        if !known.contains(&question.answer.as_str()) {
            known.push(&question.answer);
        }
    }
    if known.is_empty()
        && let Some(spread) = answer(&messages.join("\n"), questions)
    {
        return (vec![&spread.answer], true);
    }
    (known, all)
}

/// Whether the words hold the keyword, which may be a phrase.
fn contains(words: &[String], keyword: &str) -> bool {
    let keyword = self::words(keyword);
    !keyword.is_empty() && words.windows(keyword.len()).any(|window| window == keyword)
}

/// The words of a text in lower case, without accents as people type them.
fn words(text: &str) -> Vec<String> {
    let plain: String = text.to_lowercase().chars().map(plain).collect();
    plain
        .split(|char: char| !char.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Short words say nothing about what is asked.
fn significant(words: Vec<String>) -> Vec<String> {
    words
        .into_iter()
        .filter(|word| word.chars().count() > 3)
        .collect()
}

fn plain(char: char) -> char {
    match char {
        'á' | 'à' | 'â' | 'ã' | 'ä' => 'a',
        'é' | 'ê' | 'è' | 'ë' => 'e',
        'í' | 'î' | 'ì' | 'ï' => 'i',
        'ó' | 'ô' | 'õ' | 'ò' | 'ö' => 'o',
        'ú' | 'û' | 'ù' | 'ü' => 'u',
        'ç' => 'c',
        'ñ' => 'n',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(question: &str, answer: &str, keywords: &[&str]) -> Question {
        Question {
            question: question.into(),
            answer: answer.into(),
            keywords: keywords.iter().map(|word| (*word).to_owned()).collect(),
        }
    }

    #[test]
    fn a_question_is_known_by_its_words_in_any_spelling() {
        let known = [
            question(
                "Qual é o horário de funcionamento?",
                "Das 7 às 19h.",
                &["abre", "fecha"],
            ),
            question(
                "Vocês fazem entrega?",
                "Sim, em até 5 km.",
                &["entrega", "delivery"],
            ),
        ];
        let answered = |message: &str| answer(message, &known).map(|question| question.answer.as_str());
        assert_eq!(answered("qual o HORARIO de funcionamento"), Some("Das 7 às 19h."));
        assert_eq!(answered("que horas abre amanhã?"), Some("Das 7 às 19h."));
        assert_eq!(answered("tem delivery?"), Some("Sim, em até 5 km."));
        assert_eq!(answered("quero falar com o gerente"), None);
        let known = [question("Vocês entregam?", "Sim.", &["delivery"])];
        assert!(answer("Vocês consertam bicicletas?", &known).is_none());
        assert!(answer("vocês entregam hoje?", &known).is_some());
    }

    #[test]
    fn each_message_of_a_burst_is_answered_or_a_person_is_wanted() {
        let known = [
            question("Qual é o horário de funcionamento?", "Das 7 às 19h.", &["abre"]),
            question("Vocês fazem entrega?", "Sim.", &["entrega"]),
        ];
        let both = ["que horas abre?", "tem entrega?", "entrega hoje?"];
        assert_eq!(answers(&both, &known), (vec!["Das 7 às 19h.", "Sim."], true));
        let spread = ["o horário", "de funcionamento?"];
        assert_eq!(answers(&spread, &known), (vec!["Das 7 às 19h."], true));
        let half = ["tem entrega?", "quero falar com o gerente"];
        assert_eq!(answers(&half, &known), (vec!["Sim."], false));
        assert_eq!(answers(&["bom dia", "tudo bem?"], &known), (vec![], false));
    }

    #[test]
    fn a_keyword_inside_another_word_is_none() {
        let known = [question("?", "yes", &["abre"])];
        assert!(answer("a abreugrafia", &known).is_none());
    }

    #[test]
    fn the_specialist_with_most_keywords_is_chosen() {
        let specialist = |name: &str, keywords: &[&str]| Specialist {
            name: name.into(),
            keywords: keywords.iter().map(|word| (*word).to_owned()).collect(),
            instructions: String::new(),
        };
        let all = [
            specialist("sales", &["preço", "bolo"]),
            specialist("finance", &["boleto", "nota fiscal"]),
        ];
        assert_eq!(
            route("qual o preco do bolo?", &all)
                .map(|(name, _)| name)
                .as_deref(),
            Some("sales")
        );
        assert_eq!(
            route("preciso da nota fiscal", &all)
                .map(|(name, _)| name)
                .as_deref(),
            Some("finance")
        );
        assert_eq!(route("bom dia", &all), None);
    }
}
