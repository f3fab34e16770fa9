//! SPDX licence expressions: whether a list of licences satisfies one.

/// Whether `expression` can be met with the licences that `allowed` accepts. `A WITH B` is one licence;
/// `/` is the old way to write `OR`. An expression that cannot be read is not met.
pub fn satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { tokens: &tokens, allowed };
    let result = parser.any();
    result.is_some_and(|met| met && parser.tokens.is_empty())
}

struct Parser<'a> {
    tokens: &'a [&'a str],
    allowed: &'a dyn Fn(&str) -> bool,
}

impl<'a> Parser<'a> {
    fn take(&mut self) -> Option<&'a str> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn take_if(&mut self, word: &str) -> bool {
        let found = self.tokens.first() == Some(&word);
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    /// all ("OR" all)*
    fn any(&mut self) -> Option<bool> {
        let mut met = self.all()?;
        while self.take_if("OR") {
            met |= self.all()?;
        }
        Some(met)
    }

    /// one ("AND" one)*
    fn all(&mut self) -> Option<bool> {
        let mut met = self.one()?;
        while self.take_if("AND") {
            met &= self.one()?;
        }
        Some(met)
    }

    /// "(" any ")" | licence ["WITH" exception]
    fn one(&mut self) -> Option<bool> {
        if self.take_if("(") {
            let met = self.any()?;
            return self.take_if(")").then_some(met);
        }
        let licence = self.take().filter(|word| is_identifier(word))?;
        if !self.take_if("WITH") {
            return Some((self.allowed)(licence));
        }
        let exception = self.take().filter(|word| is_identifier(word))?;
        Some((self.allowed)(&format!("{licence} WITH {exception}")))
    }
}

fn is_identifier(word: &str) -> bool {
    !matches!(word, "OR" | "AND" | "WITH" | "(" | ")")
}

#[cfg(test)]
mod tests {
    use super::satisfied;

    fn met(expression: &str) -> bool {
        let list = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"];
        satisfied(expression, &|licence| list.contains(&licence))
    }

    #[test]
    fn alternatives() {
        assert!(met("MIT"));
        assert!(met("GPL-3.0 OR MIT"));
        assert!(met("MIT/GPL-2.0"));
        assert!(!met("GPL-3.0"));
        assert!(!met("GPL-3.0 OR LGPL-2.1-or-later"));
    }

    #[test]
    fn conjunctions_bind_closer() {
        assert!(met("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(!met("MIT AND MPL-2.0"));
        assert!(met("MIT OR Apache-2.0 AND MPL-2.0"));
        assert!(!met("(MIT OR Apache-2.0) AND MPL-2.0"));
    }

    #[test]
    fn exceptions() {
        assert!(met("Apache-2.0 WITH LLVM-exception"));
        assert!(!met("MIT WITH LLVM-exception"));
        assert!(!met("GPL-2.0 WITH Classpath-exception-2.0"));
    }

    #[test]
    fn unreadable_is_not_met() {
        for broken in ["", "MIT OR", "(MIT", "MIT)", "MIT MIT", "OR MIT", "MIT WITH"] {
            assert!(!met(broken), "{broken:?}");
        }
    }
}
