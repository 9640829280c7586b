//! The server's action cache.

use bytes::Bytes;
use store::Digest;
use tonic::Code;

use super::{CallError, Client, Wanted};
use crate::message::digest;
use crate::message::result::ActionResult;
use crate::proto::{UpdateActionResultRequest, re};
use crate::rpc::Raw;

impl Client {
    /// What came of an action before, if the server knows and still has all of it.
    ///
    /// # Errors
    /// The call failed, or the answer is none.
    pub async fn result(
        &self,
        action: &Digest,
        wanted: &Wanted,
    ) -> Result<Option<ActionResult>, CallError> {
        let path = "/build.bazel.remote.execution.v2.ActionCache/GetActionResult";
        let request = re::GetActionResultRequest {
            instance_name: self.instance(),
            action_digest: Some(digest::to_message(action)),
            inline_stdout: true,
            inline_stderr: true,
            inline_output_files: wanted.inline.clone(),
            digest_function: self.digest_function(),
        };
        let answer = self.server_stream::<_, Raw>(path, self.request(request));
        let answer = match answer.await {
            Ok(mut stream) => stream.message().await,
            Err(status) => Err(status),
        };
        match answer {
            Ok(Some(Raw(bytes))) => self.decode_result(&bytes).map(Some),
            Ok(None) => Err(CallError::Nonsense("no result came".into())),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status.into()),
        }
    }

    /// Keeps a result in the server's cache. Its outputs must have been sent before.
    ///
    /// # Errors
    /// The call failed, or the server does not take results.
    pub async fn put_result(
        &self,
        action: &Digest,
        result: &ActionResult,
    ) -> Result<(), CallError> {
        let path = "/build.bazel.remote.execution.v2.ActionCache/UpdateActionResult";
        let request = UpdateActionResultRequest {
            instance_name: self.instance(),
            action_digest: Some(digest::to_message(action)),
            action_result: Some(Bytes::from(result.encode())),
            digest_function: self.digest_function(),
        };
        let _kept: Raw = self.unary(path, request).await?;
        Ok(())
    }

    pub(super) fn decode_result(&self, bytes: &[u8]) -> Result<ActionResult, CallError> {
        ActionResult::decode(self.shared.function, bytes)
            .map_err(|error| CallError::Nonsense(error.to_string()))
    }
}
