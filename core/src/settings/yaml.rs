//! YAML settings, from the events of `saphyr-parser`.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput};

use super::limits::{Budget, Cost, check_depth};
use super::{Entry, Node, NodeKind, Position, Refused, quote, refuse_duplicates};

pub(super) fn read(text: &str) -> Result<Node, Refused> {
    let mut reader =
        Reader { text, parser: Parser::new_from_str(text), anchors: BTreeMap::new(), budget: Budget::new() };
    reader.document()
}

struct Reader<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    /// Complete values with an anchor, by the parser's number. An alias inside its own anchor finds nothing.
    anchors: BTreeMap<usize, Anchored>,
    budget: Budget,
}

/// A value that aliases may repeat.
struct Anchored {
    node: Node,
    cost: Cost,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Refused> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(Refused::new(position(*error.marker()), error.info())),
            None => Err(Refused::new(Position::START, "unexpected end of text")),
        }
    }

    fn document(&mut self) -> Result<Node, Refused> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => {
                    return Ok(root.unwrap_or(Node { kind: NodeKind::Null, position: Position::START }));
                }
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(Refused::new(position(span.start), "a second document begins; one is expected"));
                }
                Event::DocumentStart(explicit) => {
                    if explicit {
                        self.refuse_directives(span)?;
                    }
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, span, 0)?);
                }
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::Alias(_)
                | Event::Scalar(..)
                | Event::SequenceStart(..)
                | Event::SequenceEnd
                | Event::MappingStart(..)
                | Event::MappingEnd => {
                    return Err(Refused::new(position(span.start), "unexpected value outside the document"));
                }
            }
        }
    }

    /// `%YAML 1.1` promises other scalars than those read here, and `%TAG` serves only tags.
    fn refuse_directives(&self, start: Span) -> Result<(), Refused> {
        let before = self.text.lines().take(start.start.line().saturating_sub(1));
        for (line, number) in before.zip(1_u32..) {
            if line.starts_with('%') {
                let place = Position { line: number, column: 1 };
                return Err(Refused::new(place, "directives are not accepted"));
            }
        }
        Ok(())
    }

    /// Reads the value that `event` begins; `depth` lists and mappings are open around it.
    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Refused> {
        let position = position(span.start);
        if let Event::Alias(anchor) = event {
            return self.repeat(anchor, position, depth);
        }
        self.budget.take(position)?;
        let deeper = depth.saturating_add(1);
        let (kind, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.is_some(), position)?;
                (scalar(&text, style, position)?, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.is_some(), position)?;
                check_depth(deeper, position)?;
                (self.list(deeper)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.is_some(), position)?;
                check_depth(deeper, position)?;
                (self.mapping(deeper)?, anchor)
            }
            Event::Alias(_)
            | Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(Refused::new(position, "expected a value")),
        };
        let node = Node { kind, position };
        if anchor != 0 {
            let (cost, levels) = (node.cost(), node.depth());
            self.budget.take_copy(cost, position)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), cost, depth: levels });
        }
        Ok(node)
    }

    fn repeat(&mut self, anchor: usize, position: Position, depth: usize) -> Result<Node, Refused> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(Refused::new(position, "alias of a value that is not complete, or of a key"));
        };
        check_depth(depth.saturating_add(anchored.depth), position)?;
        self.budget.take_copy(anchored.cost, position)?;
        Ok(anchored.node.clone())
    }

    fn list(&mut self, depth: usize) -> Result<NodeKind, Refused> {
        let mut nodes = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(NodeKind::List(nodes));
            }
            nodes.push(self.node(event, span, depth)?);
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<NodeKind, Refused> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                refuse_duplicates(&entries)?;
                return Ok(NodeKind::Mapping(entries));
            }
            let place = position(span.start);
            let key = key(&event, place)?;
            let (event, span) = self.next()?;
            let absent = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text.is_empty());
            let mut value = self.node(event, span, depth)?;
            if absent {
                // The parser places what is not there at the next token, which may be lines below.
                value.position = place;
            }
            entries.push(Entry { key, position: place, value });
        }
    }
}

fn key(event: &Event<'_>, position: Position) -> Result<String, Refused> {
    let refuse = |message: &str| Err(Refused::new(position, message));
    match event {
        Event::Scalar(text, style, anchor, tag) => {
            refuse_tag(tag.is_some(), position)?;
            if *anchor != 0 {
                return refuse("anchors on keys are not accepted");
            }
            if *style == ScalarStyle::Plain && text == "<<" {
                return refuse("merge keys (`<<`) are not accepted");
            }
            match scalar(text, *style, position)? {
                NodeKind::Text(text) => Ok(text),
                NodeKind::Null
                | NodeKind::Boolean(_)
                | NodeKind::Integer(_)
                | NodeKind::Float(_)
                | NodeKind::List(_)
                | NodeKind::Mapping(_) => {
                    Err(Refused::new(position, format!("key {} is not a string; put it in quotes", quote(text))))
                }
            }
        }
        Event::Alias(_) => refuse("a key must be a string, not an alias"),
        Event::SequenceStart(..) => refuse("a key must be a string, not a list"),
        Event::MappingStart(..) => refuse("a key must be a string, not a mapping"),
        Event::Nothing
        | Event::StreamStart
        | Event::StreamEnd
        | Event::DocumentStart(_)
        | Event::DocumentEnd
        | Event::SequenceEnd
        | Event::MappingEnd => refuse("expected a key"),
    }
}

fn refuse_tag(tagged: bool, position: Position) -> Result<(), Refused> {
    if tagged { Err(Refused::new(position, "tags (`!…`) are not accepted")) } else { Ok(()) }
}

fn position(marker: Marker) -> Position {
    let narrow = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Position { line: narrow(marker.line().max(1)), column: narrow(marker.col().saturating_add(1)) }
}

/// The value of a scalar under the core schema of YAML 1.2; only plain scalars are anything but strings.
fn scalar(text: &str, style: ScalarStyle, position: Position) -> Result<NodeKind, Refused> {
    if style != ScalarStyle::Plain {
        return Ok(NodeKind::Text(text.to_owned()));
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => NodeKind::Null,
        "true" | "True" | "TRUE" => NodeKind::Boolean(true),
        "false" | "False" | "FALSE" => NodeKind::Boolean(false),
        ".nan" | ".NaN" | ".NAN" => NodeKind::Float(f64::NAN),
        _ => match number(text) {
            Ok(Some(kind)) => kind,
            Ok(None) => NodeKind::Text(text.to_owned()),
            Err(reason) => return Err(Refused::new(position, format!("number {} {reason}", quote(text)))),
        },
    })
}

fn number(text: &str) -> Result<Option<NodeKind>, &'static str> {
    let radix = |digits: &str, radix: u32| {
        if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
            return Ok(None);
        }
        i128::from_str_radix(digits, radix).map(|value| Some(NodeKind::Integer(value))).map_err(|_| OUT_OF_RANGE)
    };
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        let negative = text.starts_with('-');
        return Ok(Some(NodeKind::Float(if negative { f64::NEG_INFINITY } else { f64::INFINITY })));
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let some_digit = !whole.is_empty() || fraction.is_some_and(|fraction| !fraction.is_empty());
    let shaped = some_digit
        && all_digits(whole)
        && fraction.is_none_or(all_digits)
        && exponent.is_none_or(|exponent| !exponent.is_empty() && all_digits(exponent));
    if !shaped {
        return Ok(None);
    }
    if whole.len() > 1 && whole.starts_with('0') {
        return Err("has a leading zero, which YAML 1.1 and 1.2 read differently; write `0o…` for octal, or quotes");
    }
    if fraction.is_none() && exponent.is_none() {
        return text.parse().map(|value| Some(NodeKind::Integer(value))).map_err(|_| OUT_OF_RANGE);
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Some(NodeKind::Float(value))),
        Ok(_) | Err(_) => Err(OUT_OF_RANGE),
    }
}

const OUT_OF_RANGE: &str = "is out of range";

#[cfg(test)]
mod tests {
    use super::super::{NODE_LIMIT, Syntax};
    use super::*;

    fn refusal(text: &str) -> String {
        super::super::read(text, Syntax::Yaml, "x.yaml").unwrap_err().message().to_owned()
    }

    #[test]
    fn refuses_with_line_and_column() {
        for (text, message) in [
            ("a: 1\nb: 2\na: 3\n", "x.yaml:3:1: duplicate key `a`, first at line 1"),
            ("a: {x: 1, \"x\": 2}\n", "x.yaml:1:11: duplicate key `x`, first at line 1"),
            ("a: &x {b: 1}\nc:\n  <<: *x\n", "x.yaml:3:3: merge keys (`<<`) are not accepted"),
            ("a: 1\n---\nb: 2\n", "x.yaml:2:1: a second document begins; one is expected"),
            ("a: 1\n...\n---\nb: 2\n", "x.yaml:3:1: a second document begins; one is expected"),
            ("a: !!str 1\n", "x.yaml:1:4: tags (`!…`) are not accepted"),
            ("a: !x [1]\n", "x.yaml:1:4: tags (`!…`) are not accepted"),
            ("!!map {a: 1}\n", "x.yaml:1:1: tags (`!…`) are not accepted"),
            ("!!str a: 1\n", "x.yaml:1:1: tags (`!…`) are not accepted"),
            ("%YAML 1.1\n---\na: no\n", "x.yaml:1:1: directives are not accepted"),
            ("# c\n%TAG ! x\n---\na: 1\n", "x.yaml:2:1: directives are not accepted"),
            ("1: a\n", "x.yaml:1:1: key `1` is not a string; put it in quotes"),
            ("true: a\n", "x.yaml:1:1: key `true` is not a string; put it in quotes"),
            (": a\n", "x.yaml:1:1: key `` is not a string; put it in quotes"),
            ("? [a]\n: b\n", "x.yaml:1:3: a key must be a string, not a list"),
            ("a: &x b\n*x : c\n", "x.yaml:2:1: a key must be a string, not an alias"),
            ("&x a: b\n", "x.yaml:1:1: anchors on keys are not accepted"),
            ("a: &x [*x]\n", "x.yaml:1:8: alias of a value that is not complete, or of a key"),
            (
                "a: 0777\n",
                "x.yaml:1:4: number `0777` has a leading zero, which YAML 1.1 and 1.2 read differently; write `0o…` for \
                 octal, or quotes",
            ),
            ("a: 1e999\n", "x.yaml:1:4: number `1e999` is out of range"),
            (
                "a: 0xffffffffffffffffffffffffffffffffff\n",
                "x.yaml:1:4: number \
              `0xffffffffffffffffffffffffffffffffff` is out of range",
            ),
        ] {
            assert_eq!(refusal(text), message, "{text:?}");
        }
        for (text, begin) in [
            ("a: *nowhere\n", "x.yaml:1:4: "),
            ("a: [1\n", "x.yaml:"),
            ("a: b: c\n", "x.yaml:1:5: "),
            ("a:\n\t- b\n", "x.yaml:2:"),
            ("a: \"\\q\"\n", "x.yaml:1:"),
            ("a: \0\n", "x.yaml:1:"),
        ] {
            let message = refusal(text);
            assert!(message.starts_with(begin), "{text:?}: {message}");
        }
    }

    #[test]
    fn aliases_stay_within_their_budget() {
        let laughs = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n\
                      c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n\
                      e: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n";
        assert!(refusal(laughs).ends_with(": the file holds more than 50000 values"), "{}", refusal(laughs));
        let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(10_000), "*a,".repeat(200));
        assert!(refusal(&text).ends_with(": aliases repeat more than 1048576 bytes of text"));
        let many = format!("[{}]", "0,".repeat(NODE_LIMIT));
        assert!(refusal(&many).ends_with(": the file holds more than 50000 values"));
    }

    #[test]
    fn counts_depth_also_through_aliases() {
        let flow = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&flow(64)).is_ok());
        assert!(refusal(&flow(65)).ends_with(": nesting is deeper than 64 levels"));
        assert!(refusal(&"[".repeat(100_000)).starts_with("x.yaml:1:"));
        assert!(refusal(&"- ".repeat(100_000)).starts_with("x.yaml:1:"));
        assert!(refusal(&"{a: ".repeat(100_000)).starts_with("x.yaml:1:"));
        let aliased = format!("a: &a {}\nb: {}*a{}\n", flow(40), "[".repeat(40), "]".repeat(40));
        assert!(refusal(&aliased).ends_with(": nesting is deeper than 64 levels"));
    }

    #[test]
    fn reads_the_core_schema() {
        for (text, outline) in [
            ("no", "\"no\""),
            ("off", "\"off\""),
            ("yes", "\"yes\""),
            ("1_000", "\"1_000\""),
            ("12:30", "\"12:30\""),
            ("2026-02-17", "\"2026-02-17\""),
            ("0b11", "\"0b11\""),
            ("0X1F", "\"0X1F\""),
            ("0o8", "\"0o8\""),
            ("-0x1", "\"-0x1\""),
            (".", "\".\""),
            ("-", "[null]"),
            ("+", "\"+\""),
            ("e5", "\"e5\""),
            ("1e", "\"1e\""),
            ("1.2.3", "\"1.2.3\""),
            ("127.0.0.1:80", "\"127.0.0.1:80\""),
            ("tRUE", "\"tRUE\""),
            ("TRUE", "true"),
            ("~", "null"),
            ("", "null"),
            ("# only a comment", "null"),
            ("---", "null"),
            ("0", "0"),
            ("+12", "12"),
            ("-7", "-7"),
            ("0o17", "15"),
            ("0x1F", "31"),
            ("1.", "1.0"),
            (".5", "0.5"),
            ("1e3", "1000.0"),
            ("-.inf", "-inf"),
            (".nan", "NaN"),
            ("'12'", "\"12\""),
            ("\"true\"", "\"true\""),
            ("|\n  a\n  b\n", "\"a\\nb\\n\""),
            ("[a, b: c]", "[\"a\", {\"b\": \"c\"}]"),
            ("a: &x [1]\nb: *x", "{\"a\": [1], \"b\": [1]}"),
            ("\"<<\": 1", "{\"<<\": 1}"),
        ] {
            assert_eq!(read(text).unwrap().outline(), outline, "{text:?}");
        }
    }

    #[test]
    fn places_what_is_absent_at_its_key() {
        let node = read("x:\n  path_allowlist:\n\n\n  y: 1\n").unwrap();
        let NodeKind::Mapping(outer) = &node.kind else { panic!("a mapping") };
        let NodeKind::Mapping(inner) = &outer[0].value.kind else { panic!("a mapping") };
        assert_eq!(inner[0].value.position, Position { line: 2, column: 3 });
        assert_eq!(inner[1].value.position, Position { line: 5, column: 6 });
    }
}
