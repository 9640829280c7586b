//! How messages become bytes of a call and back, for server and client.
//!
//! Tonic's own codec would do, but for two things. A message of a few mebibytes can be made of
//! millions of empty sub-messages, each of which the decoder turns into a hundred bytes of memory;
//! so fields are counted first. And the encoder lets its buffer grow by doubling; here it is
//! given its size.

use std::marker::PhantomData;

use bytes::Buf;
use prost::Message;
use tonic::Status;
use tonic::codec::{DecodeBuf, EncodeBuf};

use crate::limits::MESSAGE_FIELDS_MAX;
use crate::wire::Fields;

/// Encodes `E`, decodes `D`.
#[derive(Debug)]
pub(crate) struct Codec<E, D>(PhantomData<fn(E) -> D>);

impl<E, D> Codec<E, D> {
    pub(crate) fn new() -> Codec<E, D> {
        Codec(PhantomData)
    }
}

impl<E, D> tonic::codec::Codec for Codec<E, D>
where
    E: Message + 'static,
    D: Message + Default + 'static,
{
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

impl<E: Message> tonic::codec::Encoder for Encoder<E> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, message: E, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(message.encoded_len());
        message
            .encode(out)
            .map_err(|error| Status::internal(format!("cannot encode the answer: {error}")))
    }
}

/// See [`Codec`].
#[derive(Debug)]
pub(crate) struct Decoder<D>(PhantomData<fn() -> D>);

impl<D: Message + Default> tonic::codec::Decoder for Decoder<D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        // The buffer has one piece, which holds the whole message and perhaps more.
        let len = bytes.remaining().min(bytes.chunk().len());
        check_fields(&bytes.chunk()[..len])?;
        D::decode(bytes).map(Some).map_err(|error| {
            Status::invalid_argument(format!("the message is unreadable: {error}"))
        })
    }
}

fn check_fields(message: &[u8]) -> Result<(), Status> {
    let mut count = 0;
    for field in Fields::of(message) {
        field.map_err(|error| {
            Status::invalid_argument(format!("the message is unreadable: {error}"))
        })?;
        count += 1;
        if count > MESSAGE_FIELDS_MAX {
            return Err(Status::invalid_argument(format!(
                "the message has more than {MESSAGE_FIELDS_MAX} entries; send it in parts"
            )));
        }
    }
    Ok(())
}
