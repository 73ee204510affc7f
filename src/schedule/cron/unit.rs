//! The five fields of a schedule: what each may hold, and what to write instead.

use std::collections::BTreeSet;

/// One of the five fields.
pub(super) struct Unit {
    name: &'static str,
    range: &'static str,
    min: u8,
    max: u8,
    /// From `min` on.
    names: &'static [&'static str],
}

pub(super) const MINUTE: Unit = Unit {
    name: "minute",
    range: "0 to 59",
    min: 0,
    max: 59,
    names: &[],
};
pub(super) const HOUR: Unit = Unit {
    name: "hour",
    range: "0 to 23",
    min: 0,
    max: 23,
    names: &[],
};
pub(super) const DAY: Unit = Unit {
    name: "day of the month",
    range: "1 to 31",
    min: 1,
    max: 31,
    names: &[],
};
pub(super) const MONTH: Unit = Unit {
    name: "month",
    range: "1 to 12 or JAN to DEC",
    min: 1,
    max: 12,
    names: &[
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ],
};
pub(super) const WEEKDAY: Unit = Unit {
    name: "weekday",
    range: "0 to 7 (0 and 7 are Sunday) or SUN to SAT",
    min: 0,
    max: 7,
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"],
};

impl Unit {
    /// The values that a field names.
    pub(super) fn values(&self, field: &str) -> Result<BTreeSet<u8>, String> {
        let mut values = BTreeSet::new();
        for part in field.split(',') {
            let (range, step) = part.split_once('/').unwrap_or((part, "1"));
            let (first, last) = self.range(range)?;
            let max = self.max;
            let step = number(step).filter(|step| (1..=max).contains(step));
            let step = step.ok_or_else(|| {
                format!("`{part}` has no good step; write `{range}/` and 1 to {max}")
            })?;
            if part.contains('/') && range != "*" && !range.contains('-') {
                return Err(format!(
                    "`{part}` has a step and no range; write `{range}-{max}/{step}`"
                ));
            }
            values.extend((first..=last).step_by(step.into()));
        }
        Ok(values)
    }

    /// The ends of `*`, of one value, or of two with a dash.
    fn range(&self, text: &str) -> Result<(u8, u8), String> {
        if text == "*" {
            return Ok((self.min, self.max));
        }
        let Some((from, to)) = text.split_once('-') else {
            let value = self.value(text)?;
            return Ok((value, value));
        };
        let (first, mut last) = (self.value(from)?, self.value(to)?);
        if to.eq_ignore_ascii_case("SUN") {
            if first == 0 {
                return Err(format!(
                    "`{text}` may be one day or seven; write `SUN` or `*`"
                ));
            }
            last = self.max;
        }
        if first <= last {
            return Ok((first, last));
        }
        let span = |first: u8, last: u8| match (self.shown(first), self.shown(last)) {
            (one, other) if one == other => one,
            (first, last) => format!("{first}-{last}"),
        };
        // Sunday ends the week that is written here, so the rest begins on Monday.
        let min = if self.name == WEEKDAY.name {
            1
        } else {
            self.min
        };
        let mut mended = span(first, self.max);
        if last >= min {
            mended = format!("{mended},{}", span(min, last));
        }
        Err(format!("`{text}` ends before it begins; write `{mended}`"))
    }

    fn value(&self, text: &str) -> Result<u8, String> {
        let named = || {
            let at = self
                .names
                .iter()
                .position(|name| name.eq_ignore_ascii_case(text))?;
            u8::try_from(at).ok().map(|at| self.min + at)
        };
        number(text)
            .filter(|value| (self.min..=self.max).contains(value))
            .or_else(named)
            .ok_or_else(|| self.mend(text))
    }

    /// What to write instead of a value that is none.
    fn mend(&self, text: &str) -> String {
        let Self { name, range, .. } = self;
        let upper = text.to_ascii_uppercase();
        let beyond = "which five fields cannot say";
        let ends: &[char] = match self.name {
            "weekday" => &['#', 'L', 'l'],
            _ => &['W', 'w'],
        };
        let before = text.split(ends).next().unwrap_or_default();
        let weekday = if before.is_empty() { "SAT" } else { before };
        match self.name {
            _ if text.is_empty() => format!("a value of the {name} is left out; write {range}"),
            _ if upper.contains('?') => format!("`{text}` is no {name}; write `*`"),
            "weekday" if upper.contains('#') => format!(
                "`{text}` is one weekday of the month, {beyond}; write `{weekday}` for every week"
            ),
            "weekday" if upper.ends_with('L') => format!(
                "`{text}` is the last such day of the month, {beyond}; write `{weekday}` for every week"
            ),
            "day of the month" if upper.contains('L') => format!(
                "`{text}` is reckoned from the last day of the month, {beyond}; write `28`, or `1` for the day after it"
            ),
            "day of the month" if upper.ends_with('W') && !before.is_empty() => {
                format!("`{text}` is the working day next to a date, {beyond}; write `{before}`")
            }
            _ => format!("`{text}` is no {name}; write {range}"),
        }
    }

    /// The name of a value, empty if it has none.
    pub(super) fn named(&self, value: u8) -> &'static str {
        let at = usize::from(value.saturating_sub(self.min));
        self.names.get(at).copied().unwrap_or_default()
    }

    fn shown(&self, value: u8) -> String {
        match self.named(value) {
            "" => value.to_string(),
            name => name.to_owned(),
        }
    }
}

/// Digits alone, without a sign.
fn number(text: &str) -> Option<u8> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}
