//! The schema for editors accepts what hardway reads, and refuses what it refuses.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::{ANSWER, bounded};

fn hardway(args: &[&str]) -> support::Output {
    bounded(Command::new(env!("CARGO_BIN_EXE_hardway")).args(args), ANSWER)
}

fn schema() -> Value {
    let output = hardway(&["lesson", "schema"]);
    assert!(output.status.success(), "{}", output.stderr);
    serde_json::from_str(&output.stdout).unwrap()
}

fn lessons() -> Vec<(String, Value)> {
    let read = |name: String| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("lessons").join(format!("{name}.yaml"));
        let value = serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        (name, value)
    };
    support::course().into_iter().map(|lesson| read(lesson.name)).collect()
}

/// Why a value does not follow a schema: as much of the 2020-12 dialect as the schema uses. A word that is not known here
/// fails the test, so that nothing is passed over.
fn fault(root: &Value, schema: &Value, value: &Value, path: &str) -> Option<String> {
    let Some(words) = schema.as_object() else {
        return (schema == false).then(|| format!("{path}: nothing is allowed"));
    };
    let wrong = |why: String| Some(format!("{path}: {why}"));
    let each = |rules: &Value| -> Vec<Option<String>> {
        rules.as_array().unwrap().iter().map(|rule| fault(root, rule, value, path)).collect()
    };
    for (word, rule) in words {
        let found = match word.as_str() {
            "$ref" => fault(root, root.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap(), value, path),
            "type" => {
                let is = |name: &str| match name {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    other => panic!("no type {other}"),
                };
                let names: Vec<&str> = rule
                    .as_array()
                    .map_or_else(|| vec![rule.as_str().unwrap()], |all| all.iter().filter_map(Value::as_str).collect());
                if names.iter().any(|name| is(name)) { None } else { wrong(format!("is no {names:?}: {value}")) }
            }
            "enum" if !rule.as_array().unwrap().contains(value) => wrong(format!("{value} is none of {rule}")),
            "const" if rule != value => wrong(format!("{value} is not {rule}")),
            "minimum" if value.as_f64().is_some_and(|it| it < rule.as_f64().unwrap()) => {
                wrong(format!("{value} < {rule}"))
            }
            "maximum" if value.as_f64().is_some_and(|it| it > rule.as_f64().unwrap()) => {
                wrong(format!("{value} > {rule}"))
            }
            "required" => {
                let missing = rule.as_array().unwrap().iter().find(|key| value.get(key.as_str().unwrap()).is_none());
                missing.filter(|_| value.is_object()).and_then(|key| wrong(format!("{key} is missing")))
            }
            "properties" => rule.as_object().unwrap().iter().find_map(|(key, rule)| {
                value.get(key).and_then(|inner| fault(root, rule, inner, &format!("{path}/{key}")))
            }),
            "additionalProperties" => value.as_object().and_then(|fields| {
                let known = |key: &str| words.get("properties").is_some_and(|all| all.get(key).is_some());
                fields
                    .iter()
                    .filter(|(key, _)| !known(key))
                    .find_map(|(key, inner)| fault(root, rule, inner, &format!("{path}/{key}")))
            }),
            "items" => value.as_array().and_then(|all| {
                all.iter().enumerate().find_map(|(at, inner)| fault(root, rule, inner, &format!("{path}/{at}")))
            }),
            "anyOf" => {
                let each = each(rule);
                if each.iter().any(Option::is_none) { None } else { wrong(format!("fits nothing: {each:?}")) }
            }
            "oneOf" => {
                let each = each(rule);
                if each.iter().filter(|it| it.is_none()).count() == 1 {
                    None
                } else {
                    wrong(format!("does not fit one: {each:?}"))
                }
            }
            "allOf" => each(rule).into_iter().flatten().next(),
            "enum" | "const" | "minimum" | "maximum" => None,
            "$schema" | "$defs" | "title" | "description" | "default" | "format" | "pattern" => None,
            other => panic!("the schema has the word {other}, which this test does not know"),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

#[test]
fn every_lesson_follows_the_schema() {
    let schema = schema();
    for (name, lesson) in lessons() {
        assert_eq!(fault(&schema, &schema, &lesson, ""), None, "{name}");
    }
}

/// A name, and what makes a right lesson wrong.
type Change<'c> = (&'c str, &'c dyn Fn(&mut Value));

/// Each change makes a wrong lesson of a right one; the schema and `lesson check` agree that it is wrong.
#[test]
fn what_hardway_refuses_the_schema_refuses() {
    let schema = schema();
    let (_, lesson) = lessons().into_iter().find(|(name, _)| name == "03-uts").unwrap();
    let changes: [Change<'_>; 13] = [
        ("another field", &|it| it["colour"] = json!("red")),
        ("a field of a step", &|it| it["steps"][0]["colour"] = json!("red")),
        ("a field of an action", &|it| it["steps"][1]["actions"][1]["unshare"]["colour"] = json!("red")),
        ("a field of a check", &|it| it["steps"][1]["check"][0]["namespace_differs"]["colour"] = json!("red")),
        ("a field of a hint", &|it| {
            it["steps"][1]["hints"][0] = json!({ "say": "x", "when": { "gone": { "of": "box" } }, "to": 1 });
        }),
        ("no title", &|it| drop(it.as_object_mut().unwrap().remove("title"))),
        ("no id of a step", &|it| drop(it["steps"][0].as_object_mut().unwrap().remove("id"))),
        ("another kind", &|it| it["steps"][0]["kind"] = json!("watch")),
        ("another stage", &|it| it["stage"] = json!("moon")),
        ("another action", &|it| it["steps"][1]["actions"][1] = json!({ "fly": {} })),
        ("another namespace", &|it| it["steps"][1]["actions"][1]["unshare"]["namespaces"] = json!(["moon"])),
        ("a text for a list", &|it| it["steps"][0]["by_hand"] = json!("hostname")),
        ("another format", &|it| it["format"] = json!(2)),
    ];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wrong.yaml");
    for (what, change) in changes {
        let mut wrong = lesson.clone();
        change(&mut wrong);
        assert!(fault(&schema, &schema, &wrong, "").is_some(), "the schema accepts {what}");
        fs::write(&path, serde_yaml::to_string(&wrong).unwrap()).unwrap();
        let checked = hardway(&["lesson", "check", path.to_str().unwrap()]);
        assert_eq!(checked.status.code(), Some(1), "{what}: {}", checked.stdout);
    }
}
