//! Identifiers and times.

use std::fmt::Write;
use std::time::SystemTime;

/// Random bytes as hexadecimal digits.
fn digits<const BYTES: usize>() -> Option<String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// A name that no other answer has: `PREFIX` and digits.
pub fn unique(prefix: &str) -> String {
    // Without randomness the clock will do: the name need not be secret.
    let digits = digits::<12>().unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        format!("{:024x}", now.as_nanos())
    });
    format!("{prefix}{digits}")
}

pub fn call_id() -> String {
    unique("call_")
}

/// A secret; `None` where the system has no randomness.
pub fn token() -> Option<String> {
    digits::<16>()
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A moment as RFC 3339 has it, in UTC.
pub fn rfc3339(time: SystemTime) -> String {
    // The form has years up to 9999.
    let last = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_micros(time.clamp(SystemTime::UNIX_EPOCH, last)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times() {
        assert_eq!(rfc3339(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00.000000Z");
        assert_eq!(rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40)), "9999-12-31T23:59:59.000000Z");
    }

    #[test]
    fn names_differ() {
        assert_ne!(call_id(), call_id());
        assert_eq!(token().unwrap().len(), 32);
    }
}
