//! The hash by which replay tells that a workflow still asks for the same thing.
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The first 16 hexadecimal digits of the SHA-256 of the canonical form of `value`.
///
/// Canonical: members sorted by name, and members that hold their type's zero value (null, false, 0, "", [] or {})
/// left out, so that a field added with a default changes no hash.
pub(crate) fn hash(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    let digest = Sha256::digest(text.as_bytes());
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The whole of `value` with its members sorted by name, so that two of them can be compared by eye.
pub(crate) fn sorted(value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    value.to_string()
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().filter(|(_, value)| !is_zero(value)).collect();
            sorted.sort_by_key(|(name, _)| *name);
            out.push('{');
            for (name, value) in sorted {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write(item, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

pub(crate) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_zero),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn order_and_defaults_do_not_change_the_hash() {
        let before = json!({"to": "a", "body": "b"});
        let after =
            json!({"body": "b", "to": "a", "copies": 0, "note": null, "tags": [], "more": {"deep": false}});
        assert_eq!(hash(&before), hash(&after));
    }

    #[test]
    fn another_value_another_hash() {
        assert_ne!(hash(&json!({"to": "a"})), hash(&json!({"to": "b"})));
        assert_ne!(hash(&json!(["a", ""])), hash(&json!(["a"])));
    }
}
