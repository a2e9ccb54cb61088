//! A routing agent without a model: keywords in Portuguese, Spanish and English.

use serde_json::{Value, json};

use crate::model::text_of;

/// Beginnings of words, the first specialist with a hit wins.
const KEYWORDS: [(&str, &[&str]); 5] = [
    (
        "finance",
        &[
            "pag", "boleto", "fatura", "factura", "invoice", "gast", "despes", "receit", "expens", "saldo",
            "balance", "money", "dinheiro", "pix", "r$",
        ],
    ),
    (
        "scheduling",
        &[
            "agend",
            "marcar",
            "reuni",
            "horári",
            "horario",
            "schedul",
            "meeting",
            "appointment",
            "cita",
            "remarc",
        ],
    ),
    (
        "sales",
        &[
            "compr",
            "preço",
            "preco",
            "precio",
            "price",
            "buy",
            "plan",
            "orçament",
            "venda",
            "desconto",
            "discount",
            "quote",
        ],
    ),
    (
        "support",
        &[
            "erro", "error", "problem", "ajuda", "ayuda", "help", "suporte", "support", "quebr", "broken",
            "funciona",
        ],
    ),
    (
        "relationships",
        &[
            "anivers", "birthday", "amig", "friend", "contato", "lembr", "remind", "famíl", "family",
        ],
    ),
];

const FALLBACK: &str = "general";

/// The answer to a routing question: a system prompt that speaks of a `route` and a JSON answer
/// wanted. None if it is another question.
pub(crate) fn route(request: &Value, said: &str) -> Option<String> {
    if !asks_for_route(request) {
        return None;
    }
    let (wanted, reason) = by_keyword(said);
    let allowed = allowed(request);
    let (specialist, reason) = if allowed.is_empty() || allowed.contains(&wanted) {
        (wanted, reason)
    } else if allowed.contains(&FALLBACK) {
        (FALLBACK, "the specialist is not among those allowed".to_owned())
    } else {
        (allowed[0], "the first of those allowed".to_owned())
    };
    Some(json!({"specialist": specialist, "confidence": 0.9, "reason": reason}).to_string())
}

fn asks_for_route(request: &Value) -> bool {
    let format = request["response_format"]["type"].as_str();
    let json = matches!(format, Some("json_object" | "json_schema"));
    let messages = request["messages"].as_array().into_iter().flatten();
    json && messages
        .filter(|message| message["role"] == "system" || message["role"] == "developer")
        .any(|message| text_of(message).to_lowercase().contains("route"))
}

fn by_keyword(said: &str) -> (&'static str, String) {
    let said = said.to_lowercase();
    let words = || {
        said.split(|c: char| !c.is_alphanumeric() && c != '$')
            .filter(|w| !w.is_empty())
    };
    for (specialist, beginnings) in KEYWORDS {
        for beginning in beginnings {
            if words().any(|word| word.starts_with(beginning)) {
                return (specialist, format!("keyword {beginning}"));
            }
        }
    }
    (FALLBACK, "no keyword".to_owned())
}

/// The specialists that the JSON schema of the answer allows; empty if it does not say.
fn allowed(request: &Value) -> Vec<&str> {
    let schema = &request["response_format"]["json_schema"]["schema"];
    let names = schema["properties"]["specialist"]["enum"].as_array();
    names.into_iter().flatten().filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(enumeration: &Value) -> Value {
        json!({
            "messages": [{"role": "system", "content": "Route this message to a specialist."}],
            "response_format": {"type": "json_schema", "json_schema": {"schema": {
                "properties": {"specialist": {"enum": enumeration}}
            }}},
        })
    }

    fn specialist(request: &Value, said: &str) -> Option<String> {
        let answer: Value = serde_json::from_str(&route(request, said)?).ok()?;
        answer["specialist"].as_str().map(str::to_owned)
    }

    #[test]
    fn a_routing_question_is_answered_by_keyword() {
        let open = question(&Value::Null);
        assert_eq!(
            specialist(&open, "Quero pagar o boleto").as_deref(),
            Some("finance")
        );
        assert_eq!(
            specialist(&open, "Can we schedule a meeting?").as_deref(),
            Some("scheduling")
        );
        assert_eq!(specialist(&open, "12").as_deref(), Some("general"));
    }

    #[test]
    fn only_a_specialist_that_the_schema_allows_is_chosen() {
        let request = question(&json!(["sales", "support"]));
        assert_eq!(specialist(&request, "help").as_deref(), Some("support"));
        assert_eq!(specialist(&request, "boleto").as_deref(), Some("sales"));
    }

    #[test]
    fn other_questions_are_not_taken_for_routing() {
        let mut request = question(&Value::Null);
        request["response_format"] = Value::Null;
        assert_eq!(route(&request, "help"), None);
    }
}
