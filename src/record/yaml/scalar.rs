//! What a plain scalar stands for.

use crate::record::value::Value;

pub(crate) fn plain_value(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => {
            number(text).map_or_else(|| Value::Text(text.to_owned()), Value::Number)
        }
        _ => Value::Text(text.to_owned()),
    }
}

pub(crate) fn number(text: &str) -> Option<f64> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    // Most are a few digits; most of what begins like one is a time.
    let is_few = (1..=9).contains(&text.len()) && !text.starts_with('0');
    if is_few && text.bytes().all(|b| b.is_ascii_digit()) {
        let digits = text.bytes().map(|b| u32::from(b - b'0'));
        return Some(f64::from(digits.fold(0, |n, digit| n * 10 + digit)));
    }
    if text.bytes().any(|b| matches!(b, b':' | b' ')) {
        return None;
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if let Some(hex) = text.strip_prefix("0x") {
        return whole_number(hex, 16);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return whole_number(octal, 8);
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let shaped = match fraction {
        None => digits(whole),
        Some(fraction) => {
            (whole.is_empty() || digits(whole))
                && (fraction.is_empty() || digits(fraction))
                && whole.len() + fraction.len() > 0
        }
    } && exponent.is_none_or(|e| digits(e.strip_prefix(['-', '+']).unwrap_or(e)));
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    if !shaped || leading_zero {
        return None;
    }
    let n: f64 = text.parse().ok()?;
    let exact = fraction.is_some() || exponent.is_some() || n.abs() <= EXACT;
    (n.is_finite() && exact).then_some(n + 0.0) // -0 is 0
}

/// A number of hexadecimal or octal digits, if a float holds it exactly.
fn whole_number(digits: &str, radix: u32) -> Option<f64> {
    let n = digits
        .chars()
        .all(|c| c.is_digit(radix))
        .then_some(digits)?;
    let n = u64::from_str_radix(n, radix).ok()?;
    u32::try_from(n).ok().map(f64::from)
}
