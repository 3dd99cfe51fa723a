//! What is said where the token's numbers are not those of the call.

/// Shortest national number that gets a country code, in digits: Iceland's have seven.
const MIN_NATIONAL: usize = 7;
/// Longest country code, in digits (E.164 §6.2).
const MAX_COUNTRY: usize = 3;

/// "dest 12155551213 is not the called number, 2155551213", each number once. Where two differ by a
/// country code alone it says which setting makes them one.
pub(super) fn message(claim: &str, token: &[String], who: &str, call: &[String]) -> String {
    let mut text = format!("{claim} {} is not {who}, {}", once(token), once(call));
    let same = |number: &String| call.iter().any(|other| differ_by_a_country(number, other));
    if token.iter().any(same) {
        text.push_str(
            "; they differ by the country code alone: set country_code (and national_prefix), with which a number without + gets it",
        );
    }
    text
}

fn once(numbers: &[String]) -> String {
    let mut found: Vec<&str> = Vec::new();
    for number in numbers {
        if !found.contains(&number.as_str()) {
            found.push(number);
        }
    }
    found.join(", ")
}

fn differ_by_a_country(one: &str, other: &str) -> bool {
    let (long, short) = if one.len() > other.len() { (one, other) } else { (other, one) };
    // Outside of North America national numbers begin with a zero, mostly.
    let national = short.strip_prefix('0').unwrap_or(short);
    let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    digits(long)
        && digits(national)
        && national.len() >= MIN_NATIONAL
        && (1..=MAX_COUNTRY).contains(&long.len().saturating_sub(national.len()))
        && long.ends_with(national)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_differ_by_a_country_code() {
        for (one, other, expected) in [
            ("12155551213", "2155551213", true),
            ("2155551213", "12155551213", true),
            ("33198765432", "0198765432", true),
            ("3545551234", "5551234", true),
            ("12155551213", "2155551214", false),
            ("12155551213", "12155551213", false),
            ("12155551213", "551213", false),
            ("12345678901234", "5678901234", false),
            ("sip:bob@12155551213", "2155551213", false),
            ("", "", false),
        ] {
            assert_eq!(differ_by_a_country(one, other), expected, "{one} {other}");
        }
    }
}
