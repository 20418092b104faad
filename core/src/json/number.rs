//! Spellings of numbers: what survives a trip through a machine number, and ECMAScript's writing.

/// A number whose decimal value a machine type holds exactly as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ExactNumber {
    /// An integer in the range of `i64`.
    Signed(i64),
    /// An integer beyond `i64` in the range of `u64`.
    Unsigned(u64),
    /// A double whose shortest decimal writing has the value of the lexeme.
    Float(f64),
}

impl ExactNumber {
    /// Reads a JSON number lexeme; `None` when its decimal value would change on the way to a machine number and
    /// back (section 1: `1e400`, twenty significant digits, integers beyond `u64`).
    #[must_use]
    pub fn from_lexeme(lexeme: &str) -> Option<Self> {
        if let Ok(signed) = lexeme.parse() {
            return Some(Self::Signed(signed));
        }
        if let Ok(unsigned) = lexeme.parse() {
            return Some(Self::Unsigned(unsigned));
        }
        let float: f64 = lexeme.parse().ok()?;
        if !float.is_finite() {
            return None;
        }
        (Decimal::parse(lexeme)? == Decimal::parse(&format!("{float:e}"))?).then_some(Self::Float(float))
    }
}

/// A decimal number as sign, digits without zeros at either end, and a power of ten.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn parse(lexeme: &str) -> Option<Self> {
        let (negative, unsigned) = lexeme.strip_prefix('-').map_or((false, lexeme), |rest| (true, rest));
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_matches('0');
        if digits.is_empty() {
            return Some(Self { negative: false, digits: String::new(), exponent: 0 });
        }
        let trailing = all.len().checked_sub(all.trim_end_matches('0').len())?;
        let exponent = exponent
            .parse::<i64>()
            .ok()?
            .checked_sub(i64::try_from(fraction.len()).ok()?)?
            .checked_add(i64::try_from(trailing).ok()?)?;
        Some(Self { negative, digits: digits.to_owned(), exponent })
    }
}

/// Writes a finite double as ECMAScript's `Number::toString` does; `None` for NaN and the infinities.
#[must_use]
pub fn write_ecmascript(value: f64) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    let Decimal { negative, digits, exponent } = Decimal::parse(&format!("{value:e}"))?;
    if digits.is_empty() {
        return Some("0".to_owned());
    }
    let count = i64::try_from(digits.len()).ok()?;
    // The position of the decimal point behind the first digit, `n` in the standard's wording.
    let point = count.checked_add(exponent)?;
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
    let text = if count <= point && point <= 21 {
        format!("{digits}{}", zeros(point.checked_sub(count)?))
    } else if 0 < point && point <= 21 {
        let (whole, fraction) = digits.split_at_checked(usize::try_from(point).ok()?)?;
        format!("{whole}.{fraction}")
    } else if -6 < point && point <= 0 {
        format!("0.{}{digits}", zeros(point.checked_neg()?))
    } else {
        let power = point.checked_sub(1)?;
        let (first, rest) = digits.split_at_checked(1)?;
        let dot = if rest.is_empty() { "" } else { "." };
        let sign = if power < 0 { '-' } else { '+' };
        format!("{first}{dot}{rest}e{sign}{}", power.unsigned_abs())
    };
    Some(if negative { format!("-{text}") } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_values_that_would_change() {
        for lexeme in [
            "1e400",
            "-1e400",
            "0.1000000000000000055511151231257827",
            "18446744073709551617",
            "1e99999999999999999999",
            "123456789012345678901.5",
        ] {
            assert_eq!(ExactNumber::from_lexeme(lexeme), None, "{lexeme}");
        }
    }

    #[test]
    fn keeps_values_that_survive() {
        for lexeme in [
            "0",
            "-0",
            "0.0",
            "-0.0",
            "0e5",
            "1.0",
            "1e16",
            "1E+2",
            "0.1",
            "1e-7",
            "5e-324",
            "100000000000000000000",
            "1.5e300",
            "10.50",
        ] {
            assert!(ExactNumber::from_lexeme(lexeme).is_some(), "{lexeme}");
        }
        assert_eq!(ExactNumber::from_lexeme("18446744073709551615"), Some(ExactNumber::Unsigned(u64::MAX)));
    }

    #[test]
    fn writes_as_ecmascript() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.25e-9, "1.25e-9"),
            (5e-324, "5e-324"),
            (123.456, "123.456"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157e+308"),
            (9_007_199_254_740_993.0, "9007199254740992"),
        ];
        for (value, text) in cases {
            assert_eq!(write_ecmascript(value).unwrap(), text);
        }
        assert_eq!(write_ecmascript(f64::NAN), None);
    }
}
