//! Names of machines, places and people on their way to a model: a sign stands for each, the same one for the same name.
//!
//! A model can still see that two settings name the same place. What a sign stands for never leaves this process.

/// Signs for the names of one question.
#[derive(Debug, Clone, Default)]
pub struct Placeholders {
    /// Whole words, in lower case, and what stands for them.
    names: Vec<(String, &'static str)>,
    /// In the order in which they were met.
    paths: Vec<String>,
    addresses: Vec<String>,
    users: Vec<String>,
}

/// After these stands the name of a user: `user=ada`, `User: ada`, `user "ada"`, `user Ada`, `user ada7`, `for user ada`.
const USER: [&str; 8] = ["user", "username", "user_name", "userid", "login", "logon", "account", "owner"];
/// Before `user`: a name follows, whatever it looks like.
const OF: [&str; 6] = ["as", "by", "for", "from", "of", "to"];
/// What follows `user` and is no name.
const NO_NAME: [&str; 27] = [
    "a",
    "and",
    "are",
    "at",
    "can",
    "cannot",
    "connections",
    "could",
    "error",
    "had",
    "has",
    "id",
    "in",
    "is",
    "license",
    "limit",
    "may",
    "must",
    "name",
    "not",
    "on",
    "or",
    "processes",
    "rights",
    "sessions",
    "was",
    "who",
];

impl Placeholders {
    /// Knows these names from the start: a word, whatever its case, and its sign.
    pub fn of(names: impl IntoIterator<Item = (String, &'static str)>) -> Self {
        let names = names.into_iter().filter(|(name, _)| !name.is_empty());
        Self { names: names.map(|(name, sign)| (name.to_lowercase(), sign)).collect(), ..Self::default() }
    }

    /// The text with signs for names, absolute paths, IPv4 addresses, and users where the text calls them so; who was called so
    /// once has that sign from then on.
    pub fn put(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = Before::default();
        while !rest.is_empty() {
            let end = rest.find(|c: char| !part_of_word(c)).unwrap_or(rest.len());
            if end == 0 {
                let next = rest.chars().next().map_or(rest.len(), char::len_utf8);
                out.push_str(&rest[..next]);
                before.between.push_str(&rest[..next]);
                rest = &rest[next..];
                continue;
            }
            // A dot or a colon at its end belongs to the sentence.
            let word = rest[..end].trim_end_matches(['.', ':']);
            if before.calls_a_user(word) {
                place(&mut self.users, &word.to_lowercase());
            }
            out.push_str(&self.word(word));
            out.push_str(&rest[word.len()..end]);
            before = before.then(word, &rest[word.len()..end]);
            rest = &rest[end..];
        }
        out
    }

    fn word(&mut self, word: &str) -> String {
        let lower = word.to_lowercase();
        if let Some((_, sign)) = self.names.iter().find(|(name, _)| *name == lower) {
            return format!("<{sign}>");
        }
        if self.users.contains(&lower) || is_mail(word) {
            return format!("<user {}>", place(&mut self.users, &lower));
        }
        if word.starts_with('/') && word.len() > 1 {
            return format!("<path {}>", place(&mut self.paths, word.trim_end_matches('/')));
        }
        let address = word.split(':').next().unwrap_or_default();
        if address.parse::<std::net::Ipv4Addr>().is_ok() {
            return format!("<address {}>", place(&mut self.addresses, address));
        }
        word.to_owned()
    }
}

/// What stands before a word.
#[derive(Default)]
struct Before {
    /// The word before the last one, and the last one, in lower case.
    words: [String; 2],
    /// What stands between the last one and this one.
    between: String,
}

impl Before {
    fn then(self, word: &str, end: &str) -> Self {
        let [_, last] = self.words;
        Self { words: [last, word.to_lowercase()], between: end.to_owned() }
    }

    /// Is that word the name of a user?
    fn calls_a_user(&self, word: &str) -> bool {
        let [first, last] = &self.words;
        let lower = word.to_lowercase();
        // DOMAIN\user
        if self.between == "\\" && !last.is_empty() && !word.is_empty() {
            return true;
        }
        if !USER.contains(&last.as_str()) || word.is_empty() || NO_NAME.contains(&lower.as_str()) {
            return false;
        }
        let is_told = self.between.contains(['=', ':', '"', '\'', '<', '(']);
        let looks_so =
            word.chars().any(|c| c.is_uppercase() || c.is_numeric() || matches!(c, '_' | '@' | '%'));
        is_told || looks_so || OF.contains(&first.as_str())
    }
}

/// `ada@example.org`
fn is_mail(word: &str) -> bool {
    let parts = word.split_once('@');
    parts.is_some_and(|(user, host)| !user.is_empty() && host.contains('.') && !host.starts_with('.'))
}

/// Its number, from 1.
fn place(known: &mut Vec<String>, word: &str) -> usize {
    let at = known.iter().position(|one| one == word).unwrap_or_else(|| {
        known.push(word.to_owned());
        known.len() - 1
    });
    at + 1
}

fn part_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | ':' | '~' | '+' | '@' | '%' | '#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs() -> Placeholders {
        Placeholders::of([("db1.example".to_owned(), "host"), ("PROD".to_owned(), "instance")])
    }

    #[test]
    fn the_same_name_has_the_same_sign_and_another_one_another() {
        let mut signs = signs();
        let text = "journal.directory = /opt/iris/j1/, alternate = \"/opt/iris/j1\" and /opt/iris/j2 on db1.example.";
        let put = "journal.directory = <path 1>, alternate = \"<path 1>\" and <path 2> on <host>.";
        assert_eq!(signs.put(text), put);
        assert_eq!(
            signs.put("prod at 10.0.0.7:1972: cannot open /opt/iris/j2"),
            "<instance> at <address 1>: cannot open <path 2>"
        );
    }

    #[test]
    fn who_is_called_a_user_has_a_sign_from_then_on() {
        for (text, put) in [
            ("logon refused for user ada", "logon refused for user <user 1>"),
            ("Username=ada, UserName: 'bob'", "Username=<user 1>, UserName: '<user 2>'"),
            ("User _SYSTEM locked out", "User <user 1> locked out"),
            ("login \"Ada Lovelace\" failed", "login \"<user 1> Lovelace\" failed"),
            ("CORP\\ada came from 10.0.0.7", "CORP\\<user 1> came from <address 1>"),
            ("mail to Ada.Love@example.org. Owner: ada7", "mail to <user 1>. Owner: <user 2>"),
            ("by user ada; ADA tried again", "by user <user 1>; <user 1> tried again"),
        ] {
            assert_eq!(signs().put(text), put);
        }
        let mut signs = signs();
        signs.put("by user ada");
        assert_eq!(signs.put("ada has 3 sessions"), "<user 1> has 3 sessions", "in later texts too");
    }

    #[test]
    fn what_is_no_name_stays() {
        for text in [
            "user processes are limited, the user is told, and users log on",
            "license units of user sessions: 5 in use",
            "a user limit",
            "at 12:30 @ noon",
        ] {
            assert_eq!(signs().put(text), text);
        }
        for text in
            ["globals = 0,0,256,0,0,0", "and/or 3/4 of it", "PRODUCTION", "12:30:05 / 2", "", "äöü – ✓"]
        {
            assert_eq!(signs().put(text), text);
        }
    }
}
