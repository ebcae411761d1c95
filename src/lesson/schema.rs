//! The syntax of lessons as a JSON schema, for editors: made from the same shapes that read them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::compile::FORMAT;
use super::raw::{RawHint, RawLesson, RawWhen};
use crate::stages;

/// The schema, in the dialect of 2020-12. What a schema can not say, such as which box was made before, `lesson check` does.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(RawLesson).to_value();
    schema["title"] = json!("A lesson of hardway");
    let stages: Vec<&str> = stages::ALL.iter().map(|stage| stage.id).collect();
    schema["properties"]["stage"]["enum"] = json!(stages);
    schema["properties"]["format"]["const"] = json!(FORMAT);
    schema
}

/// As it is read: a text, or a mapping of two fields.
impl JsonSchema for RawHint {
    fn schema_name() -> Cow<'static, str> {
        "Hint".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let when = generator.subschema_for::<RawWhen>();
        json_schema!({ "description": "A text, or one that is given only while a check holds", "anyOf": [{ "type": "string" }, when] })
    }
}
