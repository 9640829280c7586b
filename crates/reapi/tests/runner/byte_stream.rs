//! `ByteStream`: offsets, limits, resuming, compression, and what goes wrong.

use bazel_remote_apis::google::bytestream as bs;
use store::{Digest, DigestFunction};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::harness::{Server, guarded, message};

/// Something that compresses, but not to nothing.
fn sample(len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(3);
    (0..len)
        .map(|at| if at % 4 == 0 { random.u8(..) } else { b'x' })
        .collect()
}

fn name(digest: &Digest) -> String {
    let function = match digest.function {
        DigestFunction::Sha256 => "",
        DigestFunction::Blake3 => "blake3/",
    };
    format!("{function}{}/{}", message(digest).hash, digest.size_bytes)
}

async fn read(
    server: &Server,
    resource_name: String,
    read_offset: i64,
    read_limit: i64,
) -> Result<Vec<u8>, tonic::Status> {
    let request = bs::ReadRequest {
        resource_name,
        read_offset,
        read_limit,
    };
    let mut stream = server.bytes().await.read(request).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(piece) = guarded("a piece", stream.message()).await? {
        bytes.extend(piece.data);
    }
    Ok(bytes)
}

/// The messages of an upload in pieces.
fn pieces(name: &str, start: i64, bytes: &[u8], piece: usize) -> Vec<bs::WriteRequest> {
    let mut messages: Vec<_> = bytes
        .chunks(piece.max(1))
        .scan(start, |offset, data| {
            let write_offset = *offset;
            *offset += i64::try_from(data.len()).unwrap();
            Some(bs::WriteRequest {
                resource_name: String::new(),
                write_offset,
                finish_write: false,
                data: data.to_vec(),
            })
        })
        .collect();
    messages.first_mut().unwrap().resource_name = name.into();
    messages.last_mut().unwrap().finish_write = true;
    messages
}

async fn write(server: &Server, messages: Vec<bs::WriteRequest>) -> Result<i64, tonic::Status> {
    let stream = tokio_stream::iter(messages);
    let answer = guarded("the answer", server.bytes().await.write(stream)).await?;
    Ok(answer.into_inner().committed_size)
}

#[tokio::test]
async fn blobs_come_back_as_they_went_whatever_the_way() {
    let server = Server::start();
    for function in DigestFunction::ALL {
        for (len, piece) in [
            (1, 1),
            (5000, 999),
            (3_000_000, 100_000),
            (3_100_000, 2_000_000),
        ] {
            let bytes = sample(len);
            let packed = zstd::encode_all(&bytes[..], 3).unwrap();
            let digest = Digest::of(function, &bytes);
            // Of the same bytes only the first upload does anything; so others for the second.
            let mut other = bytes.clone();
            other.push(1);
            let other_packed = zstd::encode_all(&other[..], 3).unwrap();
            let other_digest = Digest::of(function, &other);

            let resource = format!("a/b/uploads/u-1/blobs/{}", name(&digest));
            let committed = write(&server, pieces(&resource, 0, &bytes, piece))
                .await
                .unwrap();
            assert_eq!(committed, len as i64);
            let resource = format!(
                "uploads/u-1/compressed-blobs/zstd/{}/meta/data",
                name(&other_digest)
            );
            let committed = write(&server, pieces(&resource, 0, &other_packed, piece)).await;
            assert_eq!(committed.unwrap(), other_packed.len() as i64);
            assert!(server.store.contains(&other_digest));

            let plain = read(&server, format!("blobs/{}", name(&digest)), 0, 0)
                .await
                .unwrap();
            assert_eq!(plain, bytes);
            let resource = format!("x/compressed-blobs/zstd/{}", name(&digest));
            let compressed = read(&server, resource.clone(), 0, 0).await.unwrap();
            assert_eq!(zstd::decode_all(&compressed[..]).unwrap(), bytes);
            if len > 1000 {
                assert!(compressed.len() < len && packed.len() < len);
                let compressed = read(&server, resource, 1000, 0).await.unwrap();
                assert_eq!(zstd::decode_all(&compressed[..]).unwrap(), bytes[1000..]);
            }
        }
    }
}

#[tokio::test]
async fn parts_of_a_blob_can_be_read() {
    let server = Server::start();
    let bytes = sample(1_000_000);
    let digest = server.put(&bytes);
    let resource = format!("blobs/{}", name(&digest));
    for (offset, limit) in [
        (0, 1),
        (0, 999_999),
        (999_999, 5),
        (1_000_000, 0),
        (300_000, 300_000),
    ] {
        let end = if limit == 0 {
            bytes.len()
        } else {
            bytes.len().min(offset + limit)
        };
        let part = read(&server, resource.clone(), offset as i64, limit as i64).await;
        assert_eq!(part.unwrap(), bytes[offset..end]);
    }
    for (offset, limit, code) in [
        (-1, 0, Code::OutOfRange),
        (1_000_001, 0, Code::OutOfRange),
        (0, -1, Code::InvalidArgument),
    ] {
        let status = read(&server, resource.clone(), offset, limit)
            .await
            .unwrap_err();
        assert_eq!(status.code(), code);
    }
    let compressed = format!("compressed-blobs/zstd/{}", name(&digest));
    let status = read(&server, compressed, 0, 5).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn what_cannot_be_read_says_why() {
    let server = Server::start();
    let absent = Digest::of(DigestFunction::Sha256, b"absent");
    for (resource, code) in [
        (format!("blobs/{}", name(&absent)), Code::NotFound),
        (
            format!("compressed-blobs/zstd/{}", name(&absent)),
            Code::NotFound,
        ),
        (
            format!("compressed-blobs/deflate/{}", name(&absent)),
            Code::InvalidArgument,
        ),
        ("nothing/like/it".into(), Code::InvalidArgument),
    ] {
        let status = read(&server, resource, 0, 0).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
    }
    let empty = Digest::of(DigestFunction::Sha256, b"");
    assert_eq!(
        read(&server, format!("blobs/{}", name(&empty)), 0, 0)
            .await
            .unwrap(),
        b""
    );
}

#[tokio::test]
async fn an_upload_of_what_is_there_ends_at_once() {
    let server = Server::start();
    let digest = server.put(b"there already");
    for (kind, committed) in [("blobs", 13), ("compressed-blobs/zstd", -1)] {
        // The stream never ends: the answer comes anyway.
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let resource_name = format!("uploads/u/{kind}/{}", name(&digest));
        let message = bs::WriteRequest {
            resource_name,
            data: b"th".to_vec(),
            ..bs::WriteRequest::default()
        };
        sender.send(message).await.unwrap();
        let mut client = server.bytes().await;
        let answer = client.write(ReceiverStream::new(receiver));
        let answer = guarded("the answer", answer).await.unwrap();
        assert_eq!(answer.into_inner().committed_size, committed);
    }
}

#[tokio::test]
async fn an_upload_ends_when_another_was_quicker() {
    let server = Server::start();
    let bytes = sample(100_000);
    let digest = Digest::of(DigestFunction::Sha256, &bytes);
    let resource = format!("uploads/u/blobs/{}", name(&digest));
    let messages = pieces(&resource, 0, &bytes, 10_000);
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let mut client = server.bytes().await;
    let uploading = tokio::spawn(async move { client.write(ReceiverStream::new(receiver)).await });
    sender.send(messages[0].clone()).await.unwrap();
    server.put(&bytes);
    // It may have ended by now.
    drop(sender.send(messages[1].clone()).await);
    let answer = guarded("the answer", uploading).await.unwrap().unwrap();
    assert_eq!(answer.into_inner().committed_size, 100_000);
}

async fn status(server: &Server, resource_name: &str) -> (i64, bool) {
    let request = bs::QueryWriteStatusRequest {
        resource_name: resource_name.into(),
    };
    let answer = server
        .bytes()
        .await
        .query_write_status(request)
        .await
        .unwrap();
    let answer = answer.into_inner();
    (answer.committed_size, answer.complete)
}

#[tokio::test]
async fn a_broken_upload_can_be_resumed() {
    let server = Server::start();
    let bytes = sample(500_000);
    let digest = Digest::of(DigestFunction::Sha256, &bytes);
    let resource = format!("uploads/u-2/blobs/{}", name(&digest));
    assert_eq!(status(&server, &resource).await, (0, false));
    let mut messages = pieces(&resource, 0, &bytes[..200_000], 50_000);
    messages.last_mut().unwrap().finish_write = false;
    assert_eq!(write(&server, messages).await.unwrap(), 200_000);
    assert_eq!(status(&server, &resource).await, (200_000, false));
    // At a wrong place it is refused, and nothing is lost.
    let wrong = pieces(&resource, 100_000, &bytes[100_000..], 50_000);
    assert_eq!(
        write(&server, wrong).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let rest = pieces(&resource, 200_000, &bytes[200_000..], 50_000);
    assert_eq!(write(&server, rest).await.unwrap(), 500_000);
    assert_eq!(status(&server, &resource).await, (500_000, true));
    assert!(server.store.contains(&digest));
}

#[tokio::test]
async fn a_broken_compressed_upload_goes_on_at_the_uncompressed_offset() {
    let server = Server::start();
    let bytes = sample(500_000);
    let digest = Digest::of(DigestFunction::Blake3, &bytes);
    let resource = format!("uploads/u-3/compressed-blobs/zstd/{}", name(&digest));
    let packed = zstd::encode_all(&bytes[..], 3).unwrap();
    let mut messages = pieces(&resource, 0, &packed[..packed.len() / 2], 20_000);
    messages.last_mut().unwrap().finish_write = false;
    let committed = write(&server, messages).await.unwrap();
    assert!(0 < committed && committed < 500_000);
    assert_eq!(status(&server, &resource).await, (committed, false));
    let rest = &bytes[usize::try_from(committed).unwrap()..];
    let rest = zstd::encode_all(rest, 3).unwrap();
    write(&server, pieces(&resource, committed, &rest, 20_000))
        .await
        .unwrap();
    assert!(server.store.contains(&digest));
}

#[tokio::test]
async fn an_upload_may_begin_anew() {
    let server = Server::start();
    let bytes = sample(50_000);
    let digest = Digest::of(DigestFunction::Sha256, &bytes);
    let resource = format!("uploads/u/blobs/{}", name(&digest));
    let mut half = pieces(&resource, 0, &bytes[..20_000], 50_000);
    half[0].finish_write = false;
    write(&server, half).await.unwrap();
    assert_eq!(
        write(&server, pieces(&resource, 0, &bytes, 7_000))
            .await
            .unwrap(),
        50_000
    );
    assert!(server.store.contains(&digest));
}

#[tokio::test]
async fn lies_are_refused_and_leave_nothing() {
    let server = Server::start();
    let bytes = sample(100_000);
    let digest = Digest::of(DigestFunction::Sha256, &bytes);
    let mut wrong = bytes.clone();
    wrong[5] ^= 1;
    let plain = format!("uploads/u/blobs/{}", name(&digest));
    let packed = format!("uploads/u/compressed-blobs/zstd/{}", name(&digest));
    let pack = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    let half_packed = pack(&bytes);
    let half_packed = &half_packed[..half_packed.len() / 2];
    let mut longer = bytes.clone();
    longer.push(0);
    let mut gap = pieces(&plain, 0, &bytes, 10_000);
    gap[3].write_offset += 1;
    let mut renamed = pieces(&plain, 0, &bytes, 10_000);
    renamed[3].resource_name = packed.clone();
    let mut unnamed = pieces(&plain, 0, &bytes, 10_000);
    unnamed[0].resource_name.clear();
    for messages in [
        pieces(&plain, 0, &wrong, 10_000),
        pieces(&plain, 0, &longer, 10_000),
        pieces(&plain, 0, &bytes[1..], 10_000),
        pieces(&packed, 0, &pack(&wrong), 10_000),
        pieces(&packed, 0, &pack(&longer), 10_000),
        pieces(&packed, 0, half_packed, 10_000),
        pieces(&packed, 0, &bytes, 10_000),
        gap,
        renamed,
        unnamed,
        Vec::new(),
    ] {
        let status = write(&server, messages).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(!server.store.contains(&digest));
    }
    // The right bytes are taken afterwards.
    write(&server, pieces(&plain, 0, &bytes, 10_000))
        .await
        .unwrap();
}
