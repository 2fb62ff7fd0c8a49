//! A point in time as JSON shows it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{RefOr, schema};
use utoipa::{PartialSchema, ToSchema};

use crate::engine::model::Millis;

/// A point in time; JSON holds it as RFC 3339 in UTC, `2026-11-20T08:15:30.250Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub Millis);

impl Stamp {
    /// The time as text; a time that no calendar knows is shown as its number.
    #[must_use]
    pub fn text(self) -> String {
        jiff::Timestamp::from_millisecond(self.0.0).map_or_else(|_| self.0.0.to_string(), |t| t.to_string())
    }
}

impl From<Millis> for Stamp {
    fn from(at: Millis) -> Self {
        Self(at)
    }
}

impl Serialize for Stamp {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(d)?;
        let at: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self(Millis(at.as_millisecond())))
    }
}

impl PartialSchema for Stamp {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(schema::SchemaType::Type(Type::String))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .into()
    }
}

impl ToSchema for Stamp {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_rfc_3339_and_read_back() {
        let stamp = Stamp(Millis(1_795_161_330_250));
        let json = serde_json::to_string(&stamp).unwrap();
        assert_eq!(json, "\"2026-11-20T07:55:30.25Z\"");
        assert_eq!(serde_json::from_str::<Stamp>(&json).unwrap(), stamp);
        assert!(serde_json::from_str::<Stamp>("\"yesterday\"").is_err());
        assert_eq!(Stamp(Millis(i64::MAX)).text(), i64::MAX.to_string());
    }
}
