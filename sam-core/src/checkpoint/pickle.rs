//! Pickles as data: what Python wrote down, without running any of it.
//!
//! A pickle is a program that builds objects on a stack. Here its objects are nodes that name each other by number, so what a pickle
//! refers to twice is kept once, a pickle takes memory for what it holds and not for what it says, and no nesting is too deep to be
//! dropped. Calls of Python's functions are kept as nodes, too: whoever reads the nodes knows which of them they understand.

use std::{collections::HashMap, io::Read};

/// A state dict takes some 100 KB, with its optimiser's a MB. Each byte takes 150 bytes of memory at most.
const MAX_BYTES: u64 = 8 << 20;

/// An object, or the number of its node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    /// `None`, a float, bytes: what no state dict hangs on.
    Other,
    Bool(bool),
    Int(i64),
    Node(usize),
}

/// An object that holds others, or text.
#[derive(Debug, PartialEq)]
pub(super) enum Node {
    Text(String),
    List(Vec<Value>),
    Tuple(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// A class or function by its module and name, with a dot between them.
    Global(String),
    /// A call that is not made.
    Call {
        function: Value,
        arguments: Value,
    },
    /// What lies beside the pickle, by what the pickle knows of it.
    Persistent(Value),
}

/// A pickle that was read.
#[derive(Debug)]
pub(super) struct Pickle {
    nodes: Vec<Node>,
    /// The object that it is about.
    pub(super) root: Value,
}

impl Pickle {
    /// Reads a pickle and nothing behind it; the error says what is wrong with it.
    pub(super) fn read(reader: &mut impl Read) -> Result<Self, String> {
        let mut machine = Machine {
            reader: reader.take(MAX_BYTES),
            stack: vec![],
            marks: vec![],
            memo: HashMap::new(),
            nodes: vec![],
        };
        while machine.step()? {}
        let root = machine.pop()?;
        Ok(Self { nodes: machine.nodes, root })
    }

    /// All nodes.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// An object's node, if it has one.
    pub(super) fn node(&self, value: Value) -> Option<&Node> {
        match value {
            Value::Node(index) => self.nodes.get(index),
            _ => None,
        }
    }

    pub(super) fn text(&self, value: Value) -> Option<&str> {
        match self.node(value) {
            Some(Node::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn tuple(&self, value: Value) -> Option<&[Value]> {
        match self.node(value) {
            Some(Node::Tuple(items)) => Some(items),
            _ => None,
        }
    }

    /// The name of a class or function.
    pub(super) fn global(&self, value: Value) -> Option<&str> {
        match self.node(value) {
            Some(Node::Global(name)) => Some(name),
            _ => None,
        }
    }

    /// The name and the arguments of a call.
    pub(super) fn call(&self, value: Value) -> Option<(&str, &[Value])> {
        match self.node(value) {
            Some(&Node::Call { function, arguments }) => Some((self.global(function)?, self.tuple(arguments)?)),
            _ => None,
        }
    }
}

/// A pickle on its way.
struct Machine<R> {
    reader: R,
    stack: Vec<Value>,
    /// How high the stack was at each mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    nodes: Vec<Node>,
}

impl<R: Read> Machine<R> {
    /// Does what the next byte says; `false` at the pickle's end.
    ///
    /// Source: the codes of Python's `pickletools`.
    fn step(&mut self) -> Result<bool, String> {
        let [code] = self.bytes()?;
        match code {
            b'.' => return Ok(false),
            // Its version, and the length of the part that follows.
            0x80 => drop(self.bytes::<1>()?),
            0x95 => drop(self.bytes::<8>()?),

            b'N' | 0x88 | 0x89 | b'K' | b'M' | b'J' | b'I' | b'L' | b'F' | b'G' | 0x8a | 0x8b => {
                let value = self.scalar(code)?;
                self.stack.push(value);
            }
            b'X' | 0x8c | 0x8d | b'T' | b'U' => {
                let length = self.length(code)?;
                let text = as_text(self.take(length)?)?;
                self.push(Node::Text(text));
            }
            // Bytes.
            b'B' | b'C' | 0x8e | 0x96 => {
                let length = self.length(code)?;
                self.take(length)?;
                self.stack.push(Value::Other);
            }

            b'(' => self.marks.push(self.stack.len()),
            // The state of an object, of a dict its attributes, is dropped as well.
            b'0' | b'b' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }

            b']' | 0x8f => self.push(Node::List(vec![])),
            b')' => self.push(Node::Tuple(vec![])),
            b'}' => self.push(Node::Dict(vec![])),
            0x85..=0x87 | b't' | b'l' | 0x91 | b'd' => self.gather(code)?,
            b'a' | b'e' | 0x90 | b's' | b'u' => self.fill(code)?,

            b'q' | b'r' | b'p' | 0x94 => {
                let (key, top) = (self.key(code)?, self.top()?);
                self.memo.insert(key, top);
            }
            b'h' | b'j' | b'g' => {
                let key = self.key(code)?;
                let known = self
                    .memo
                    .get(&key)
                    .ok_or_else(|| format!("its pickle refers to object {key}, which is missing"))?;
                self.stack.push(*known);
            }

            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Node::Global(format!("{module}.{name}")));
            }
            0x93 => self.stack_global()?,
            b'R' | 0x81 | 0x92 => {
                // Arguments by their names stand behind the others.
                let call = self.last(if code == 0x92 { 3 } else { 2 })?;
                self.call(call[0], call[1]);
            }
            b'Q' => {
                let about = self.pop()?;
                self.push(Node::Persistent(about));
            }
            other => return Err(format!("its pickle has the unknown code {other:#04x}")),
        }
        Ok(true)
    }

    /// A value that is no node.
    fn scalar(&mut self, code: u8) -> Result<Value, String> {
        Ok(match code {
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'K' => Value::Int(self.bytes::<1>()?[0].into()),
            b'M' => Value::Int(u16::from_le_bytes(self.bytes()?).into()),
            b'J' => Value::Int(i32::from_le_bytes(self.bytes()?).into()),
            b'I' | b'L' => match self.line()?.as_str() {
                "00" => Value::Bool(false),
                "01" => Value::Bool(true),
                digits => digits.trim_end_matches('L').parse().map_or(Value::Other, Value::Int),
            },
            0x8a | 0x8b => {
                let length = self.length(code)?;
                whole(&self.take(length)?)
            }
            // Floats in words and in bytes.
            b'F' => self.line().map(|_| Value::Other)?,
            b'G' => self.bytes::<8>().map(|_| Value::Other)?,
            _ => Value::Other,
        })
    }

    /// How many bytes follow, as a code says it: in one byte, in four or in eight.
    fn length(&mut self, code: u8) -> Result<u64, String> {
        match code {
            0x8c | b'U' | b'C' | 0x8a => self.bytes::<1>().map(|[byte]| byte.into()),
            b'X' | b'T' | b'B' | 0x8b => self.bytes().map(|bytes| u32::from_le_bytes(bytes).into()),
            _ => self.bytes().map(u64::from_le_bytes),
        }
    }

    /// The number under which an object is remembered.
    fn key(&mut self, code: u8) -> Result<u32, String> {
        match code {
            b'q' | b'h' => self.bytes::<1>().map(|[byte]| byte.into()),
            b'r' | b'j' => self.bytes().map(u32::from_le_bytes),
            b'p' | b'g' => {
                let line = self.line()?;
                line.parse().map_err(|_| format!("its pickle has {line:?} where a number should be"))
            }
            // The next one.
            _ => Ok(self.memo.len() as u32),
        }
    }

    /// Makes a tuple, list or dict of what is on top of the stack.
    fn gather(&mut self, code: u8) -> Result<(), String> {
        let items = match code {
            0x85..=0x87 => self.last(usize::from(code - 0x84))?,
            _ => self.since_mark()?,
        };
        self.push(match code {
            b'd' => Node::Dict(pairs(&items)),
            b'l' | 0x91 => Node::List(items),
            _ => Node::Tuple(items),
        });
        Ok(())
    }

    /// Adds what is on top of the stack to the list or dict below. To other objects nothing is added: what they would make of it is
    /// unknown.
    fn fill(&mut self, code: u8) -> Result<(), String> {
        let items = match code {
            b'a' => self.last(1)?,
            b's' => self.last(2)?,
            _ => self.since_mark()?,
        };
        let Value::Node(index) = self.top()? else { return Ok(()) };
        match &mut self.nodes[index] {
            Node::List(list) if !matches!(code, b's' | b'u') => list.extend(items),
            Node::Dict(dict) if matches!(code, b's' | b'u') => dict.extend(pairs(&items)),
            _ => {}
        }
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(|_| cut_off())?;
        Ok(bytes)
    }

    /// So many bytes, if they are there.
    fn take(&mut self, length: u64) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(length).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if read as u64 == length { Ok(bytes) } else { Err(cut_off()) }
    }

    fn line(&mut self) -> Result<String, String> {
        let mut bytes = Vec::new();
        loop {
            match self.bytes()? {
                [b'\n'] => return as_text(bytes),
                [byte] => bytes.push(byte),
            }
        }
    }

    fn push(&mut self, node: Node) {
        self.stack.push(Value::Node(self.nodes.len()));
        self.nodes.push(node);
    }

    /// How low the stack may be emptied.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Value, String> {
        self.last(1).map(|items| items[0])
    }

    fn top(&self) -> Result<Value, String> {
        self.stack.last().copied().filter(|_| self.stack.len() > self.floor()).ok_or_else(too_little)
    }

    /// Takes so many objects from the stack, in the order in which they were put there.
    fn last(&mut self, count: usize) -> Result<Vec<Value>, String> {
        let start =
            self.stack.len().checked_sub(count).filter(|&start| start >= self.floor()).ok_or_else(too_little)?;
        Ok(self.stack.split_off(start))
    }

    fn since_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.marks.pop().ok_or_else(too_little)?;
        Ok(self.stack.split_off(mark))
    }

    fn stack_global(&mut self) -> Result<(), String> {
        let names = self.last(2)?;
        let text = |value| match value {
            Value::Node(index) => match &self.nodes[index] {
                Node::Text(text) => Some(text.as_str()),
                _ => None,
            },
            _ => None,
        };
        let (Some(module), Some(name)) = (text(names[0]), text(names[1])) else {
            return Err("its pickle names a class by something else than words".to_owned());
        };
        let node = Node::Global(format!("{module}.{name}"));
        self.push(node);
        Ok(())
    }

    /// Keeps a call; an ordered dict is a dict.
    fn call(&mut self, function: Value, arguments: Value) {
        let is_dict = match function {
            Value::Node(index) => self.nodes[index] == Node::Global("collections.OrderedDict".to_owned()),
            _ => false,
        };
        self.push(if is_dict { Node::Dict(vec![]) } else { Node::Call { function, arguments } });
    }
}

/// A whole number in bytes, the last of which has the sign.
fn whole(bytes: &[u8]) -> Value {
    let is_negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut all = [if is_negative { 0xff } else { 0 }; 8];
    let Some(low) = all.get_mut(..bytes.len()) else { return Value::Other };
    low.copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(all))
}

/// Keys and values that follow each other.
fn pairs(items: &[Value]) -> Vec<(Value, Value)> {
    items.as_chunks().0.iter().map(|&[key, value]| (key, value)).collect()
}

fn as_text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| "its pickle has a text that is none".to_owned())
}

fn cut_off() -> String {
    format!("its pickle is cut off, or larger than {} MiB", MAX_BYTES >> 20)
}

fn too_little() -> String {
    "its pickle takes more from its stack than is there".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Pickle, String> {
        Pickle::read(&mut &*bytes)
    }

    #[test]
    fn objects_of_each_kind_are_read() {
        // {"a": (1, -2, 300), "b": [True, None, 70000, 2.5]}, as protocols 2 and 4 write it.
        for bytes in [
            b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x01J\xfe\xff\xff\xffM,\x01\x87q\x02X\x01\x00\x00\x00bq\x03]q\x04(\x88NJp\x11\x01\x00G@\x04\x00\x00\x00\x00\x00\x00eu.".as_slice(),
            b"\x80\x04\x95(\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94K\x01J\xfe\xff\xff\xffM,\x01\x87\x94\x8c\x01b\x94]\x94(\x88NJp\x11\x01\x00G@\x04\x00\x00\x00\x00\x00\x00eu.",
        ] {
            let pickle = read(bytes).expect("a pickle");
            let Some(Node::Dict(dict)) = pickle.node(pickle.root) else { panic!("{pickle:?}") };
            let [(a, numbers), (b, others)] = dict[..] else { panic!("{pickle:?}") };
            assert_eq!((pickle.text(a), pickle.text(b)), (Some("a"), Some("b")));
            assert_eq!(pickle.tuple(numbers), Some([1, -2, 300].map(Value::Int).as_slice()));
            let expected = vec![Value::Bool(true), Value::Other, Value::Int(70000), Value::Other];
            assert_eq!(pickle.node(others), Some(&Node::List(expected)));
        }
    }

    #[test]
    fn calls_are_kept_and_not_made() {
        let pickle = read(b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00ls\x85R.").expect("a pickle");
        let (name, arguments) = pickle.call(pickle.root).expect("a call");
        assert_eq!((name, pickle.text(arguments[0])), ("posix.system", Some("ls")));
        let pickle = read(b"\x80\x02ccollections\nOrderedDict\n)R}b.").expect("a pickle");
        assert_eq!(pickle.node(pickle.root), Some(&Node::Dict(vec![])));
    }

    #[test]
    fn long_numbers_have_their_sign() {
        for (bytes, expected) in [
            (b"\x8a\x00.".as_slice(), Value::Int(0)),
            (b"\x8a\x01\xff.", Value::Int(-1)),
            (b"\x8a\x02\xff\x00.", Value::Int(255)),
            (b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", Value::Other),
            (b"I01\n.", Value::Bool(true)),
            (b"L12L\n.", Value::Int(12)),
        ] {
            assert_eq!(read(bytes).expect("a number").root, expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_pickle_is_refused_in_words() {
        for (bytes, part) in [
            (b"".as_slice(), "cut off"),
            (b"X\xff\xff\xff\xffab", "cut off"),
            (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "cut off"),
            (b".", "from its stack"),
            (b"K\x01(.", "from its stack"),
            (b"K\x01(0.", "from its stack"),
            (b"e.", "from its stack"),
            (b"h\x07.", "object 7"),
            (b"K\x01K\x02\x93.", "something else than words"),
            (b"U\x01\xff.", "a text that is none"),
            (b"gx\n.", "\"x\""),
            (b"<html>", "0x3c"),
        ] {
            let error = read(bytes).expect_err("no pickle");
            assert!(error.contains(part), "{bytes:?}: {error}");
        }
    }

    #[test]
    fn what_refers_to_itself_takes_no_more_room_than_its_bytes() {
        // A list of two lists of two lists ..., each written once: 2^60 lists for whoever copies them.
        let doubled = [b"]q\x00".as_slice(), &b"0]q\x01h\x00ah\x00aq\x00".repeat(60), b"."].concat();
        assert_eq!(read(&doubled).expect("a pickle").nodes().len(), 61);
        // Lists within each other, deeper than any stack of calls.
        let deep = [b"]".repeat(1 << 20), b"a".repeat((1 << 20) - 1), b".".to_vec()].concat();
        assert_eq!(read(&deep).expect("a pickle").nodes().len(), 1 << 20);
    }
}
