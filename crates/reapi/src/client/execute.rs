//! Executing an action: one call, which tells how far it is until its result comes.

use bytes::Bytes;
use http::uri::PathAndQuery;
use prost::Message;
use store::Digest;
use tonic::{Code, Status};

use super::{CallError, Client, to_message};
use crate::executor::Stage;
use crate::message::result::ActionResult;
use crate::proto::{
    ExecuteResponse, METADATA_TYPE, Operation, PreconditionFailure, RESPONSE_TYPE, RpcStatus, re,
};
use crate::resource::Resource;
use crate::rpc::Codec;

/// How often a call that broke off without an answer is taken up again on the same connection.
const RESUMED_MAX: usize = 3;

/// What is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Outputs to have inside of the result, by the names that the command gives them, as far as the server likes to.
    pub inline: Vec<String>,
    /// Run it even if its result is known.
    pub skip_cache: bool,
    /// The server's own order: lower is sooner.
    pub priority: i32,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Executed {
    /// The result.
    pub result: ActionResult,
    /// It was known already.
    pub from_cache: bool,
    /// For people, from the server.
    pub message: String,
}

impl Client {
    /// Executes an action whose blobs the server has, or is being sent on this connection at this time. `stage` hears
    /// how far it is.
    ///
    /// # Errors
    /// [`CallError::Missing`] names what the server lacks; anything else that can go wrong with a call. That a command
    /// fails is no error.
    pub async fn execute(
        &self,
        action: &Digest,
        wanted: &Wanted,
        mut stage: impl FnMut(Stage),
    ) -> Result<Executed, CallError> {
        let mut operation = String::new();
        let path = "/build.bazel.remote.execution.v2.Execution/Execute";
        let request = re::ExecuteRequest {
            instance_name: self.instance.clone(),
            skip_cache_lookup: wanted.skip_cache,
            action_digest: Some(to_message(action)),
            execution_policy: (wanted.priority != 0).then_some(re::ExecutionPolicy {
                priority: wanted.priority,
            }),
            results_cache_policy: None,
            digest_function: self.digest_function(),
            inline_stdout: true,
            inline_stderr: true,
            inline_output_files: wanted.inline.clone(),
        };
        let codec = Codec::<re::ExecuteRequest, Operation>::new();
        let mut grpc = self.grpc();
        grpc.ready().await?;
        let path = PathAndQuery::from_static(path);
        let answer = grpc.server_streaming(self.request(request), path, codec);
        let stream = answer
            .await
            .map_err(|status| self.refused(&status))?
            .into_inner();
        let mut ended = self.follow(stream, &mut operation, &mut stage).await?;
        for _ in 0..RESUMED_MAX {
            match ended {
                Some(executed) => return Ok(executed),
                None if operation.is_empty() => break,
                None => ended = self.wait(&mut operation, &mut stage).await?,
            }
        }
        ended.ok_or_else(|| CallError::Unavailable("the answer never came".into()))
    }

    /// Takes up an execution whose answer broke off.
    async fn wait(
        &self,
        operation: &mut String,
        stage: &mut impl FnMut(Stage),
    ) -> Result<Option<Executed>, CallError> {
        let path = "/build.bazel.remote.execution.v2.Execution/WaitExecution";
        let request = re::WaitExecutionRequest {
            name: operation.clone(),
        };
        let codec = Codec::<re::WaitExecutionRequest, Operation>::new();
        let mut grpc = self.grpc();
        grpc.ready().await?;
        let path = PathAndQuery::from_static(path);
        let answer = grpc.server_streaming(self.request(request), path, codec);
        let stream = answer
            .await
            .map_err(|status| self.refused(&status))?
            .into_inner();
        self.follow(stream, operation, stage).await
    }

    /// Hears an execution out. `None` if it broke off without an answer.
    async fn follow(
        &self,
        mut stream: tonic::Streaming<Operation>,
        operation: &mut String,
        stage: &mut impl FnMut(Stage),
    ) -> Result<Option<Executed>, CallError> {
        loop {
            let update = match stream.message().await {
                Ok(Some(update)) => update,
                Ok(None) => return Ok(None),
                Err(_) if !operation.is_empty() && !self.is_closed() => return Ok(None),
                Err(status) => return Err(self.refused(&status)),
            };
            if !update.name.is_empty() {
                operation.clone_from(&update.name);
            }
            if update.done {
                return self.finish(update).map(Some);
            }
            if let Some(now) = stage_of(&update) {
                stage(now);
            }
        }
    }

    fn finish(&self, operation: Operation) -> Result<Executed, CallError> {
        if let Some(error) = operation.error {
            return Err(self.failure(&error));
        }
        let nonsense = |text: &str| CallError::Nonsense(text.to_owned());
        let response = operation
            .response
            .filter(|any| any.type_url == RESPONSE_TYPE)
            .ok_or_else(|| nonsense("an execution ended without a response"))?;
        let response = ExecuteResponse::decode(response.value)
            .map_err(|error| nonsense(&error.to_string()))?;
        if let Some(status) = response.status.filter(|status| status.code != 0) {
            return Err(self.failure(&status));
        }
        let bytes: Bytes = response
            .result
            .ok_or_else(|| nonsense("an execution ended without a result"))?;
        let result = ActionResult::decode(self.function, &bytes)
            .map_err(|error| nonsense(&error.to_string()))?;
        Ok(Executed {
            result,
            from_cache: response.cached_result,
            message: response.message,
        })
    }

    /// A call that ended with an error. Its details are the same as those of an operation.
    fn refused(&self, status: &Status) -> CallError {
        match RpcStatus::decode(status.details()) {
            Ok(told) if !told.details.is_empty() => self.failure(&told),
            _ => CallError::from(status.clone()),
        }
    }

    /// A final answer that is an error. Missing blobs are told in its details.
    fn failure(&self, status: &RpcStatus) -> CallError {
        if status.code == i32::from(Code::FailedPrecondition) {
            let details = status.details.iter();
            let missing: Vec<Digest> = details
                .filter(|any| any.type_url.ends_with("google.rpc.PreconditionFailure"))
                .filter_map(|any| PreconditionFailure::decode(any.value.clone()).ok())
                .flat_map(|failure| failure.violations)
                .filter(|violation| violation.r#type == "MISSING")
                .filter_map(|violation| self.subject(&violation.subject))
                .collect();
            if !missing.is_empty() {
                return CallError::Missing(missing);
            }
        }
        CallError::of_code(status.code.into(), &status.message)
    }

    /// `blobs/HASH/SIZE`.
    fn subject(&self, text: &str) -> Option<Digest> {
        let named = Resource::parse_read(text).ok()?.digest;
        Some(Digest {
            function: self.function,
            ..named
        })
    }
}

fn stage_of(operation: &Operation) -> Option<Stage> {
    use re::execution_stage::Value;
    let metadata = operation.metadata.as_ref()?;
    if metadata.type_url != METADATA_TYPE {
        return None;
    }
    let metadata = re::ExecuteOperationMetadata::decode(metadata.value.clone()).ok()?;
    Some(match Value::try_from(metadata.stage).ok()? {
        Value::CacheCheck => Stage::CacheCheck,
        Value::Queued => Stage::Queued,
        Value::Executing => Stage::Executing,
        Value::Completed => Stage::Completed,
        Value::Unknown => return None,
    })
}
