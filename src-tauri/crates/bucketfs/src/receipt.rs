//! Lets a caller store an answer of its own in the same transaction as the change it answers for
//! (design.md promise 6): a call resent after a crash then gets its true answer.

/// Key and encoder of an answer to be stored with the change.
pub struct Receipt<T> {
    pub key: Vec<u8>,
    encode: Encode<T>,
}

type Encode<T> = Box<dyn FnOnce(&T) -> Vec<u8> + Send>;

impl<T> Receipt<T> {
    pub fn new(key: Vec<u8>, encode: impl FnOnce(&T) -> Vec<u8> + Send + 'static) -> Self {
        Receipt { key, encode: Box::new(encode) }
    }

    pub fn encode(self, success: &T) -> (Vec<u8>, Vec<u8>) {
        let bytes = (self.encode)(success);
        (self.key, bytes)
    }
}
