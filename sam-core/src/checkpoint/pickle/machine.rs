//! The stack machine that executes a pickle.

use std::{
    collections::HashMap,
    io::{ErrorKind, Read},
};

use super::{Node, PickleError, Value, opcode as op};

/// The state of the stack machine.
pub(super) struct Machine<R> {
    reader: R,
    stack: Vec<Value>,
    /// Height of the stack at each mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    nodes: Vec<Node>,
}

impl<R: Read> Machine<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, stack: vec![], marks: vec![], memo: HashMap::new(), nodes: vec![] }
    }

    /// Executes the whole pickle. Returns its nodes and the root object.
    pub(super) fn run(mut self) -> Result<(Vec<Node>, Value), PickleError> {
        while self.step()? {}
        let root = self.pop()?;
        Ok((self.nodes, root))
    }

    /// Executes the next opcode; returns `false` at the end of the pickle.
    ///
    /// Source: Python's `pickletools`.
    fn step(&mut self) -> Result<bool, PickleError> {
        let [code] = self.bytes()?;
        match code {
            op::STOP => return Ok(false),
            // Protocol version, and length of the following frame.
            op::PROTO => drop(self.bytes::<1>()?),
            op::FRAME => drop(self.bytes::<8>()?),

            op::BINUNICODE | op::SHORT_BINUNICODE | op::BINUNICODE8 | op::BINSTRING | op::SHORT_BINSTRING => {
                let text = as_text(self.counted(code)?)?;
                self.push(Node::Text(text));
            }
            op::BINBYTES | op::SHORT_BINBYTES | op::BINBYTES8 | op::BYTEARRAY8 => {
                self.counted(code)?;
                self.stack.push(Value::Other);
            }

            op::MARK => self.marks.push(self.stack.len()),
            // `BUILD` sets an object's state or a dict's attributes, which is dropped.
            op::POP | op::BUILD => drop(self.pop()?),
            op::POP_MARK => drop(self.since_mark()?),
            op::DUP => {
                let top = self.top()?;
                self.stack.push(top);
            }

            op::EMPTY_LIST | op::EMPTY_SET => self.push(Node::List(vec![])),
            op::EMPTY_TUPLE => self.push(Node::Tuple(vec![])),
            op::EMPTY_DICT => self.push(Node::Dict(vec![])),
            op::TUPLE1 | op::TUPLE2 | op::TUPLE3 | op::TUPLE | op::LIST | op::FROZENSET | op::DICT => {
                self.gather(code)?;
            }
            op::APPEND | op::APPENDS | op::ADDITEMS | op::SETITEM | op::SETITEMS => self.fill(code)?,

            op::BINPUT | op::LONG_BINPUT | op::PUT | op::MEMOIZE => self.remember(code)?,
            op::BINGET | op::LONG_BINGET | op::GET => self.recall(code)?,

            op::GLOBAL => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Node::Global(format!("{module}.{name}")));
            }
            op::STACK_GLOBAL => self.stack_global()?,
            op::REDUCE | op::NEWOBJ | op::NEWOBJ_EX => {
                // Keyword arguments follow the others.
                let call = self.last(if code == op::NEWOBJ_EX { 3 } else { 2 })?;
                self.call(call[0], call[1]);
            }
            op::BINPERSID => {
                let about = self.pop()?;
                self.push(Node::Persistent(about));
            }
            other => {
                let value = self.scalar(other)?;
                self.stack.push(value);
            }
        }
        Ok(true)
    }

    /// Stores the top of the stack in the memo.
    fn remember(&mut self, code: u8) -> Result<(), PickleError> {
        let (key, top) = (self.key(code)?, self.top()?);
        self.memo.insert(key, top);
        Ok(())
    }

    /// Pushes an object from the memo.
    fn recall(&mut self, code: u8) -> Result<(), PickleError> {
        let key = self.key(code)?;
        self.stack.push(*self.memo.get(&key).ok_or(PickleError::NoSuchObject(key))?);
        Ok(())
    }

    /// Reads a value that is not a node; all other opcodes are unknown.
    fn scalar(&mut self, code: u8) -> Result<Value, PickleError> {
        Ok(match code {
            op::NEWTRUE => Value::Bool(true),
            op::NEWFALSE => Value::Bool(false),
            op::BININT1 => Value::Int(self.bytes::<1>()?[0].into()),
            op::BININT2 => Value::Int(u16::from_le_bytes(self.bytes()?).into()),
            op::BININT => Value::Int(i32::from_le_bytes(self.bytes()?).into()),
            op::INT | op::LONG => match self.line()?.as_str() {
                "00" => Value::Bool(false),
                "01" => Value::Bool(true),
                digits => digits.trim_end_matches('L').parse().map_or(Value::Other, Value::Int),
            },
            op::LONG1 | op::LONG4 => whole(&self.counted(code)?),
            // Floats as text and as bytes.
            op::FLOAT => self.line().map(|_| Value::Other)?,
            op::BINFLOAT => self.bytes::<8>().map(|_| Value::Other)?,
            op::NONE => Value::Other,
            other => return Err(PickleError::UnknownCode(other)),
        })
    }

    /// Reads bytes that are preceded by their length.
    fn counted(&mut self, code: u8) -> Result<Vec<u8>, PickleError> {
        let length = self.length(code)?;
        self.take(length)
    }

    /// Reads a length of one, four or eight bytes, depending on the opcode.
    fn length(&mut self, code: u8) -> Result<u64, PickleError> {
        match code {
            op::SHORT_BINUNICODE | op::SHORT_BINSTRING | op::SHORT_BINBYTES | op::LONG1 => {
                self.bytes::<1>().map(|[byte]| byte.into())
            }
            op::BINUNICODE | op::BINSTRING | op::BINBYTES | op::LONG4 => {
                self.bytes().map(|bytes| u32::from_le_bytes(bytes).into())
            }
            _ => self.bytes().map(u64::from_le_bytes),
        }
    }

    /// The memo key of an object.
    fn key(&mut self, code: u8) -> Result<u32, PickleError> {
        match code {
            op::BINPUT | op::BINGET => self.bytes::<1>().map(|[byte]| byte.into()),
            op::LONG_BINPUT | op::LONG_BINGET => self.bytes().map(u32::from_le_bytes),
            op::PUT | op::GET => {
                let line = self.line()?;
                line.parse().map_err(|source| PickleError::NoNumber { line, source })
            }
            // The next free key.
            _ => Ok(self.memo.len() as u32),
        }
    }

    /// Builds a tuple, list or dict from the top of the stack.
    fn gather(&mut self, code: u8) -> Result<(), PickleError> {
        let items = match code {
            op::TUPLE1 | op::TUPLE2 | op::TUPLE3 => self.last(usize::from(code - op::TUPLE1 + 1))?,
            _ => self.since_mark()?,
        };
        self.push(match code {
            op::DICT => Node::Dict(pairs(&items)),
            op::LIST | op::FROZENSET => Node::List(items),
            _ => Node::Tuple(items),
        });
        Ok(())
    }

    /// Adds the top of the stack to the list or dict below it. Nothing is added to other objects, whose behaviour is unknown.
    fn fill(&mut self, code: u8) -> Result<(), PickleError> {
        let items = match code {
            op::APPEND => self.last(1)?,
            op::SETITEM => self.last(2)?,
            _ => self.since_mark()?,
        };
        let Value::Node(index) = self.top()? else { return Ok(()) };
        match &mut self.nodes[index] {
            Node::List(list) if !matches!(code, op::SETITEM | op::SETITEMS) => list.extend(items),
            Node::Dict(dict) if matches!(code, op::SETITEM | op::SETITEMS) => dict.extend(pairs(&items)),
            _ => {}
        }
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => PickleError::CutOff,
            _ => PickleError::Io(error),
        })?;
        Ok(bytes)
    }

    /// Reads exactly `length` bytes.
    fn take(&mut self, length: u64) -> Result<Vec<u8>, PickleError> {
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(length).read_to_end(&mut bytes).map_err(PickleError::Io)?;
        if read as u64 == length { Ok(bytes) } else { Err(PickleError::CutOff) }
    }

    fn line(&mut self) -> Result<String, PickleError> {
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

    /// Minimum height of the stack: no operation may take objects below the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Value, PickleError> {
        self.last(1).map(|items| items[0])
    }

    fn top(&self) -> Result<Value, PickleError> {
        self.stack.last().copied().filter(|_| self.stack.len() > self.floor()).ok_or(PickleError::EmptyStack)
    }

    /// Pops `count` objects; returns them in the order in which they were pushed.
    fn last(&mut self, count: usize) -> Result<Vec<Value>, PickleError> {
        let start = self
            .stack
            .len()
            .checked_sub(count)
            .filter(|&start| start >= self.floor())
            .ok_or(PickleError::EmptyStack)?;
        Ok(self.stack.split_off(start))
    }

    fn since_mark(&mut self) -> Result<Vec<Value>, PickleError> {
        let mark = self.marks.pop().ok_or(PickleError::EmptyStack)?;
        Ok(self.stack.split_off(mark))
    }

    fn stack_global(&mut self) -> Result<(), PickleError> {
        let names = self.last(2)?;
        let text = |value| match value {
            Value::Node(index) => match &self.nodes[index] {
                Node::Text(text) => Some(text.as_str()),
                _ => None,
            },
            _ => None,
        };
        let (Some(module), Some(name)) = (text(names[0]), text(names[1])) else {
            return Err(PickleError::NoName);
        };
        let node = Node::Global(format!("{module}.{name}"));
        self.push(node);
        Ok(())
    }

    /// Stores a call as a node; a call of `OrderedDict` becomes a dict.
    fn call(&mut self, function: Value, arguments: Value) {
        let is_dict = match function {
            Value::Node(index) => self.nodes[index] == Node::Global("collections.OrderedDict".to_owned()),
            _ => false,
        };
        self.push(if is_dict { Node::Dict(vec![]) } else { Node::Call { function, arguments } });
    }
}

/// A little-endian integer in two's complement.
fn whole(bytes: &[u8]) -> Value {
    let is_negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut all = [if is_negative { 0xff } else { 0 }; 8];
    let Some(low) = all.get_mut(..bytes.len()) else { return Value::Other };
    low.copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(all))
}

/// Alternating keys and values as pairs.
fn pairs(items: &[Value]) -> Vec<(Value, Value)> {
    items.as_chunks().0.iter().map(|&[key, value]| (key, value)).collect()
}

fn as_text(bytes: Vec<u8>) -> Result<String, PickleError> {
    String::from_utf8(bytes).map_err(PickleError::NoText)
}
