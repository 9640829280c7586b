//! How messages become bytes of a call and back, for server and client.
//!
//! Tonic's own codec would do, but for three things. A message of a few mebibytes can be made of
//! millions of empty sub-messages, each of which a decoder turns into a hundred bytes of memory;
//! so fields are counted first. The encoder lets its buffer grow by doubling; here it is given its
//! size. And a message that is in the store already need not be taken apart to be sent: [`Raw`].

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use tonic::Status;
use tonic::codec::{DecodeBuf, EncodeBuf};

use crate::limits::MESSAGE_FIELDS_MAX;
use crate::wire::Fields;

/// What can be sent.
pub(crate) trait Encode: Send + 'static {
    fn encoded_len(&self) -> usize;
    fn encode(self, out: &mut EncodeBuf<'_>) -> Result<(), Status>;
}

/// What can be received.
pub(crate) trait Decode: Sized + Send + 'static {
    fn decode(bytes: Bytes) -> Result<Self, Status>;
}

/// An encoded message, whatever its type.
#[derive(Debug, Clone)]
pub(crate) struct Raw(pub(crate) Bytes);

impl Encode for Raw {
    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn encode(self, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(self.0);
        Ok(())
    }
}

impl Decode for Raw {
    fn decode(bytes: Bytes) -> Result<Raw, Status> {
        Ok(Raw(bytes))
    }
}

impl<M: prost::Message + 'static> Encode for M {
    fn encoded_len(&self) -> usize {
        prost::Message::encoded_len(self)
    }

    fn encode(self, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        prost::Message::encode(&self, out)
            .map_err(|error| Status::internal(format!("cannot encode a message: {error}")))
    }
}

impl<M: prost::Message + Default + 'static> Decode for M {
    fn decode(bytes: Bytes) -> Result<M, Status> {
        check_fields(&bytes)?;
        <M as prost::Message>::decode(bytes).map_err(unreadable)
    }
}

fn unreadable(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(format!("the message is unreadable: {error}"))
}

fn check_fields(message: &[u8]) -> Result<(), Status> {
    for (count, field) in Fields::of(message).enumerate() {
        field.map_err(unreadable)?;
        if count >= MESSAGE_FIELDS_MAX {
            return Err(Status::invalid_argument(format!(
                "the message has more than {MESSAGE_FIELDS_MAX} entries; send it in parts"
            )));
        }
    }
    Ok(())
}

/// Encodes `E`, decodes `D`.
#[derive(Debug)]
pub(crate) struct Codec<E, D>(PhantomData<fn(E) -> D>);

impl<E, D> Codec<E, D> {
    pub(crate) fn new() -> Codec<E, D> {
        Codec(PhantomData)
    }
}

impl<E: Encode, D: Decode> tonic::codec::Codec for Codec<E, D> {
    type Encode = E;
    type Decode = D;
    type Encoder = Encoder<E>;
    type Decoder = Decoder<D>;

    fn encoder(&mut self) -> Encoder<E> {
        Encoder(PhantomData)
    }

    fn decoder(&mut self) -> Decoder<D> {
        Decoder(PhantomData)
    }
}

/// See [`Codec`].
#[derive(Debug)]
pub(crate) struct Encoder<E>(PhantomData<fn(E)>);

impl<E: Encode> tonic::codec::Encoder for Encoder<E> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, message: E, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(message.encoded_len());
        message.encode(out)
    }
}

/// See [`Codec`].
#[derive(Debug)]
pub(crate) struct Decoder<D>(PhantomData<fn() -> D>);

impl<D: Decode> tonic::codec::Decoder for Decoder<D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        let len = bytes.remaining();
        D::decode(bytes.copy_to_bytes(len)).map(Some)
    }
}
