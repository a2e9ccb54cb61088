//! Several messages that are answered as one.
use recado_clients::models::{Role, Turn};

/// The texts of the first and of those that came after it, in order.
pub(crate) fn texts<'a>(first: &'a str, more: &'a [String]) -> impl Iterator<Item = &'a str> {
    [first].into_iter().chain(more.iter().map(String::as_str))
}

/// What they say together.
pub(crate) fn text(first: &str, more: &[String]) -> String {
    texts(first, more).collect::<Vec<_>>().join("\n")
}

/// Where the latest turns of the contact that say `texts` in their order begin, others between them or not.
pub(crate) fn beginning(turns: &[Turn], texts: &[&str]) -> Option<usize> {
    let mut wanted = texts.iter().rev().peekable();
    for (index, turn) in turns.iter().enumerate().rev() {
        let said = turn.role == Role::User && wanted.next_if(|text| turn.text.trim() == **text).is_some();
        if said && wanted.peek().is_none() {
            return Some(index);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_found_among_the_turns_also_where_it_repeats_itself() {
        let turn = |role, text: &str| Turn {
            role,
            text: text.to_owned(),
        };
        let turns = [
            turn(Role::User, "oi"),
            turn(Role::Assistant, "olá"),
            turn(Role::User, "oi"),
            turn(Role::User, " oi "),
            turn(Role::User, "tem bolo?"),
            turn(Role::User, "e torta?"),
        ];
        assert_eq!(beginning(&turns, &["oi", "oi", "tem bolo?"]), Some(2));
        assert_eq!(beginning(&turns, &["oi"]), Some(3));
        assert_eq!(beginning(&turns, &["e torta?", "oi"]), None);
    }
}
