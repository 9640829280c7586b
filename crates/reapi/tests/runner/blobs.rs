//! Capabilities, and `ContentAddressableStorage` without trees.

use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
use re::compressor::Value as Compressor;
use re::digest_function::Value as Function;
use re::{batch_read_blobs_response, batch_update_blobs_request};
use store::{Digest, DigestFunction};
use tonic::Code;

use crate::harness::{Server, message};

fn update(digest: &Digest, data: &[u8]) -> batch_update_blobs_request::Request {
    batch_update_blobs_request::Request {
        digest: Some(message(digest)),
        data: data.to_vec(),
        compressor: Compressor::Identity.into(),
    }
}

async fn batch_update(
    server: &Server,
    requests: Vec<batch_update_blobs_request::Request>,
) -> Vec<i32> {
    let request = re::BatchUpdateBlobsRequest {
        requests,
        ..re::BatchUpdateBlobsRequest::default()
    };
    let answer = server
        .cas()
        .await
        .batch_update_blobs(request)
        .await
        .unwrap();
    let codes = answer.into_inner().responses.into_iter();
    codes
        .map(|response| response.status.unwrap().code)
        .collect()
}

async fn batch_read(
    server: &Server,
    request: re::BatchReadBlobsRequest,
) -> Result<Vec<batch_read_blobs_response::Response>, tonic::Status> {
    let answer = server.cas().await.batch_read_blobs(request).await?;
    Ok(answer.into_inner().responses)
}

#[tokio::test]
async fn capabilities_say_what_there_is() {
    let server = Server::start();
    let request = re::GetCapabilitiesRequest::default();
    let answer = server.capabilities().await.get_capabilities(request).await;
    let answer = answer.unwrap().into_inner();
    let low = answer.low_api_version.unwrap();
    assert_eq!((low.major, low.minor), (2, 0));
    let high = answer.high_api_version.unwrap();
    assert_eq!((high.major, high.minor), (2, 11));
    let cache = answer.cache_capabilities.unwrap();
    assert_eq!(
        cache.digest_functions,
        [Function::Sha256 as i32, Function::Blake3 as i32]
    );
    assert!(
        cache
            .action_cache_update_capabilities
            .unwrap()
            .update_enabled
    );
    assert_eq!(cache.supported_compressors, [Compressor::Zstd as i32]);
    assert_eq!(
        cache.supported_batch_update_compressors,
        [Compressor::Zstd as i32]
    );
    assert!(cache.max_batch_total_size_bytes < 4 << 20);
    assert!(cache.max_batch_total_size_bytes > 3 << 20);
    assert_eq!(
        cache.symlink_absolute_path_strategy(),
        re::symlink_absolute_path_strategy::Value::Allowed
    );
    assert!(!cache.split_blob_support && !cache.splice_blob_support);
    let execution = answer.execution_capabilities.unwrap();
    assert!(execution.exec_enabled);
    assert_eq!(execution.digest_function(), Function::Sha256);
}

#[tokio::test]
async fn what_is_not_implemented_says_so() {
    let server = Server::start();
    let request = re::SplitBlobRequest::default();
    let status = server.cas().await.split_blob(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn missing_blobs_are_found() {
    let server = Server::start();
    for function in DigestFunction::ALL {
        let there = server.store.put(function, b"there").unwrap();
        let absent = Digest::of(function, b"absent");
        let empty = Digest::of(function, b"");
        let request = re::FindMissingBlobsRequest {
            blob_digests: [there, absent, empty].iter().map(message).collect(),
            digest_function: match function {
                DigestFunction::Sha256 => Function::Unknown.into(),
                DigestFunction::Blake3 => Function::Blake3.into(),
            },
            ..re::FindMissingBlobsRequest::default()
        };
        let answer = server.cas().await.find_missing_blobs(request).await;
        assert_eq!(
            answer.unwrap().into_inner().missing_blob_digests,
            [message(&absent)]
        );
    }
}

#[tokio::test]
async fn impossible_digests_are_refused() {
    let server = Server::start();
    let good = message(&Digest::of(DigestFunction::Sha256, b"x"));
    for digest in [
        re::Digest {
            size_bytes: -1,
            ..good.clone()
        },
        re::Digest {
            hash: good.hash.to_uppercase(),
            ..good.clone()
        },
        re::Digest {
            hash: good.hash[1..].into(),
            ..good.clone()
        },
    ] {
        let request = re::FindMissingBlobsRequest {
            blob_digests: vec![digest],
            ..re::FindMissingBlobsRequest::default()
        };
        let answer = server.cas().await.find_missing_blobs(request).await;
        assert_eq!(answer.unwrap_err().code(), Code::InvalidArgument);
    }
    for function in [Function::Md5, Function::Sha1, Function::Vso] {
        let request = re::FindMissingBlobsRequest {
            digest_function: function.into(),
            ..re::FindMissingBlobsRequest::default()
        };
        let answer = server.cas().await.find_missing_blobs(request).await;
        assert_eq!(answer.unwrap_err().code(), Code::InvalidArgument);
    }
}

fn zstd_update(digest: &Digest, packed: &[u8]) -> batch_update_blobs_request::Request {
    batch_update_blobs_request::Request {
        compressor: Compressor::Zstd.into(),
        ..update(digest, packed)
    }
}

fn of(bytes: &[u8]) -> Digest {
    Digest::of(DigestFunction::Sha256, bytes)
}

#[tokio::test]
async fn each_blob_of_a_batch_has_its_own_outcome() {
    let server = Server::start();
    let long = "some text that compresses ".repeat(1000);
    let packed = zstd::encode_all(long.as_bytes(), 3).unwrap();
    let zip = of(long.as_bytes());
    let longer = Digest {
        size_bytes: zip.size_bytes + 1,
        ..of(b"y")
    };
    let deflate = batch_update_blobs_request::Request {
        compressor: Compressor::Deflate.into(),
        ..update(&of(b"one"), b"one")
    };
    let no_digest = batch_update_blobs_request::Request {
        digest: None,
        ..update(&of(b"one"), b"one")
    };
    let (good, bad) = (Code::Ok as i32, Code::InvalidArgument as i32);
    let (updates, expected): (Vec<_>, Vec<_>) = [
        (update(&of(b"one"), b"one"), good),
        (update(&of(b"lie"), b"truth"), bad),
        (update(&of(b"short"), b"shor"), bad),
        (update(&of(b"two"), b"two"), good),
        (update(&of(b""), b""), good),
        (zstd_update(&zip, &packed), good),
        (zstd_update(&of(b"x"), b"not zstd"), bad),
        (zstd_update(&longer, &packed), bad),
        (zstd_update(&of(b"z"), &packed), bad),
        (deflate, bad),
        (no_digest, bad),
    ]
    .into_iter()
    .unzip();
    assert_eq!(batch_update(&server, updates).await, expected);
    for digest in [of(b"one"), of(b"two"), zip] {
        assert!(server.store.contains(&digest));
    }
    for digest in [of(b"lie"), of(b"short"), longer] {
        assert!(!server.store.contains(&digest));
    }
}

#[tokio::test]
async fn blobs_are_compressed_for_whoever_takes_it() {
    let server = Server::start();
    let long = "some text that compresses ".repeat(1000);
    let (two, zip) = (server.put(b"two"), server.put(long.as_bytes()));
    let mut request = re::BatchReadBlobsRequest {
        digests: [two, of(b"absent"), zip].iter().map(message).collect(),
        acceptable_compressors: vec![Compressor::Zstd.into()],
        ..re::BatchReadBlobsRequest::default()
    };
    let answers = batch_read(&server, request.clone()).await.unwrap();
    assert_eq!(answers[0].data, b"two");
    assert_eq!(answers[0].compressor(), Compressor::Identity);
    let absent = answers[1].status.as_ref().unwrap();
    assert_eq!(absent.code, Code::NotFound as i32);
    assert_eq!(answers[1].digest, Some(message(&of(b"absent"))));
    assert_eq!(answers[2].compressor(), Compressor::Zstd);
    assert_eq!(
        zstd::decode_all(&answers[2].data[..]).unwrap(),
        long.as_bytes()
    );

    request.acceptable_compressors.clear();
    let answers = batch_read(&server, request).await.unwrap();
    assert_eq!(answers[2].compressor(), Compressor::Identity);
    assert_eq!(answers[2].data, long.as_bytes());
}

#[tokio::test]
async fn a_batch_may_have_the_announced_size_and_no_more() {
    let server = Server::start();
    let request = re::GetCapabilitiesRequest::default();
    let answer = server.capabilities().await.get_capabilities(request).await;
    let cache = answer.unwrap().into_inner().cache_capabilities.unwrap();
    let max = usize::try_from(cache.max_batch_total_size_bytes).unwrap();
    let blobs: Vec<Vec<u8>> = (0..4_u8).map(|n| vec![n; max / 4]).collect();
    let digests: Vec<_> = blobs
        .iter()
        .map(|bytes| Digest::of(DigestFunction::Sha256, bytes))
        .collect();
    let updates = digests
        .iter()
        .zip(&blobs)
        .map(|(digest, bytes)| update(digest, bytes));
    assert_eq!(batch_update(&server, updates.collect()).await, [0; 4]);
    let mut request = re::BatchReadBlobsRequest {
        digests: digests.iter().map(message).collect(),
        ..re::BatchReadBlobsRequest::default()
    };
    let answers = batch_read(&server, request.clone()).await.unwrap();
    assert!(answers.iter().map(|answer| &answer.data).eq(&blobs));
    request.digests.push(message(&server.put(&[9; 100])));
    let status = batch_read(&server, request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_batch_that_unpacks_to_too_much_is_refused() {
    let server = Server::start();
    let bytes = vec![0_u8; 40 << 20];
    let packed = zstd::encode_all(&bytes[..], 3).unwrap();
    let digest = Digest::of(DigestFunction::Sha256, &bytes);
    let other = Digest {
        size_bytes: 41 << 20,
        ..digest
    };
    let request = re::BatchUpdateBlobsRequest {
        requests: [digest, other]
            .iter()
            .map(|digest| batch_update_blobs_request::Request {
                compressor: Compressor::Zstd.into(),
                ..update(digest, &packed)
            })
            .collect(),
        ..re::BatchUpdateBlobsRequest::default()
    };
    let status = server
        .cas()
        .await
        .batch_update_blobs(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_blob_that_can_never_fit_is_exhausting() {
    let server = Server::start();
    let digest = Digest {
        size_bytes: 1 << 40,
        ..Digest::of(DigestFunction::Sha256, b"x")
    };
    let name = format!(
        "uploads/u/blobs/{}/{}",
        message(&digest).hash,
        digest.size_bytes
    );
    let write = bazel_remote_apis::google::bytestream::WriteRequest {
        resource_name: name,
        data: b"x".to_vec(),
        ..Default::default()
    };
    let status = server.bytes().await.write(tokio_stream::once(write)).await;
    assert_eq!(status.unwrap_err().code(), Code::ResourceExhausted);
}
