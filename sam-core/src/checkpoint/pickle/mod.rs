//! Reads pickles as data, without executing any Python.
//!
//! A pickle is a program that builds objects on a stack. Here its objects become nodes, which refer to each other by index. So an object
//! that is referred to twice is stored once, memory is proportional to the size of the file, and deep nesting cannot overflow the call
//! stack. Calls of Python functions become nodes too; the code that reads the nodes decides which calls it understands.

mod error;
mod machine;
mod opcode;

use std::io::Read;

pub(crate) use error::PickleError;
use machine::Machine;

/// Maximum size. A state dict takes about 100 KB, with its optimiser 1 MB. Each byte takes at most 150 bytes of memory.
const MAX_BYTES: u64 = 8 << 20;

/// An object, or the index of its node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    /// `None`, floats and bytes, which state dicts do not need.
    Other,
    Bool(bool),
    Int(i64),
    Node(usize),
}

/// A container or a text.
#[derive(Debug, PartialEq)]
pub(super) enum Node {
    Text(String),
    List(Vec<Value>),
    Tuple(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// A class or function as `module.name`.
    Global(String),
    /// A function call, which is not executed.
    Call {
        function: Value,
        arguments: Value,
    },
    /// Data outside the pickle, by its persistent ID.
    Persistent(Value),
}

/// A parsed pickle.
#[derive(Debug)]
pub(super) struct Pickle {
    nodes: Vec<Node>,
    /// The object that the pickle represents.
    pub(super) root: Value,
}

impl Pickle {
    /// Reads one pickle and no byte after it; the error says what is wrong with it.
    pub(super) fn read(reader: &mut impl Read) -> Result<Self, PickleError> {
        let (nodes, root) = Machine::new(reader.take(MAX_BYTES)).run()?;
        Ok(Self { nodes, root })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Pickle, PickleError> {
        Pickle::read(&mut &*bytes)
    }

    #[test]
    fn objects_of_each_kind_are_read() {
        // {"a": (1, -2, 300), "b": [True, None, 70000, 2.5]}, written by protocols 2 and 4.
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
            let error = read(bytes).expect_err("no pickle").to_string();
            assert!(error.contains(part), "{bytes:?}: {error}");
        }
    }

    #[test]
    fn what_refers_to_itself_takes_no_more_room_than_its_bytes() {
        // A list of two references to a list of two references, and so on, each list written once: 2^60 lists if they were copied.
        let doubled = [b"]q\x00".as_slice(), &b"0]q\x01h\x00ah\x00aq\x00".repeat(60), b"."].concat();
        assert_eq!(read(&doubled).expect("a pickle").nodes().len(), 61);
        // Nested lists, deeper than any call stack.
        let deep = [b"]".repeat(1 << 20), b"a".repeat((1 << 20) - 1), b".".to_vec()].concat();
        assert_eq!(read(&deep).expect("a pickle").nodes().len(), 1 << 20);
    }
}
