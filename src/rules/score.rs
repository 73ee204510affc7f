//! The score of one record: whole points on three axes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What points are counted on.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// How well made the story is.
    Quality,
    /// How much it is talked about.
    Heat,
    /// How much its subject matters to the desk.
    Topic,
}

/// Points on each axis, and their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Score {
    /// Points for quality.
    pub quality: i64,
    /// Points for heat.
    pub heat: i64,
    /// Points for topics.
    pub topic: i64,
    /// The sum of the three.
    pub total: i64,
}

impl Score {
    /// The score with these points; `total` is always their sum.
    #[must_use]
    pub const fn new(quality: i64, heat: i64, topic: i64) -> Self {
        let total = quality.saturating_add(heat).saturating_add(topic);
        Self {
            quality,
            heat,
            topic,
            total,
        }
    }

    /// The points on one axis.
    #[must_use]
    pub const fn on(self, axis: Axis) -> i64 {
        match axis {
            Axis::Quality => self.quality,
            Axis::Heat => self.heat,
            Axis::Topic => self.topic,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_is_the_sum() {
        let score = Score::new(44, 22, -30);
        assert_eq!(score.total, 36);
        assert_eq!(score.on(Axis::Topic), -30);
        assert_eq!(Score::new(i64::MAX, 1, 0).total, i64::MAX);
        let json = serde_json::to_string(&score).unwrap();
        assert_eq!(json, r#"{"quality":44,"heat":22,"topic":-30,"total":36}"#);
    }
}
