//! The protocol of S3, on the crate `s3s`: it checks signatures, takes chunked bodies apart, and turns XML and headers
//! into values. What a request does is in the modules of this one.
//!
//! A bucket is a namespace, and an object is the current one of its key, as in the protocol of COS. So both protocols
//! see the same objects.

mod auth;
mod body;
mod buckets;
mod checksums;
mod conditions;
mod copies;
mod error;
mod front;
mod headers;
mod listings;
mod objects;
mod uploads;

use std::sync::Arc;
use std::time::Duration;

use partstore::{Key, PartStore};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CreateBucketInput,
    CreateBucketOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    DeleteBucketCorsInput, DeleteBucketCorsOutput, DeleteBucketInput, DeleteBucketOutput,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput,
    GetBucketAclInput, GetBucketAclOutput, GetBucketCorsInput, GetBucketCorsOutput,
    GetBucketLifecycleConfigurationInput, GetBucketLifecycleConfigurationOutput,
    GetBucketLocationInput, GetBucketLocationOutput, GetBucketPolicyInput, GetBucketPolicyOutput,
    GetBucketTaggingInput, GetBucketTaggingOutput, GetBucketVersioningInput,
    GetBucketVersioningOutput, GetObjectAclInput, GetObjectAclOutput, GetObjectAttributesInput,
    GetObjectAttributesOutput, GetObjectInput, GetObjectOutput, GetObjectTaggingInput,
    GetObjectTaggingOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput,
    ListBucketsInput, ListBucketsOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, ListPartsInput,
    ListPartsOutput, PutBucketCorsInput, PutBucketCorsOutput, PutObjectInput, PutObjectOutput,
    UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result};

pub use front::S3Front;

use crate::rules::Current;

/// What requests work on.
#[derive(Clone)]
struct Objects {
    store: PartStore,
    rules: Arc<Current>,
    /// How long a client may be silent in the middle of a body.
    patience: Duration,
}

/// The name of an object, in the store's words.
fn key(bucket: &str, key: &str) -> Key {
    Key::new(bucket, key)
}

/// The answers of [`Objects`], each in the module that it is about.
macro_rules! answers {
    ($($verb:ident $module:ident $input:ident $output:ident;)*) => {
        #[async_trait::async_trait]
        impl S3 for Objects {
            $(async fn $verb(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                $module::$verb(self, request).await
            })*
        }
    };
}

answers! {
    abort_multipart_upload uploads AbortMultipartUploadInput AbortMultipartUploadOutput;
    complete_multipart_upload uploads CompleteMultipartUploadInput CompleteMultipartUploadOutput;
    copy_object copies CopyObjectInput CopyObjectOutput;
    create_bucket buckets CreateBucketInput CreateBucketOutput;
    create_multipart_upload uploads CreateMultipartUploadInput CreateMultipartUploadOutput;
    delete_bucket buckets DeleteBucketInput DeleteBucketOutput;
    delete_object objects DeleteObjectInput DeleteObjectOutput;
    delete_objects objects DeleteObjectsInput DeleteObjectsOutput;
    get_bucket_acl buckets GetBucketAclInput GetBucketAclOutput;
    delete_bucket_cors buckets DeleteBucketCorsInput DeleteBucketCorsOutput;
    get_bucket_cors buckets GetBucketCorsInput GetBucketCorsOutput;
    put_bucket_cors buckets PutBucketCorsInput PutBucketCorsOutput;
    get_bucket_lifecycle_configuration buckets GetBucketLifecycleConfigurationInput GetBucketLifecycleConfigurationOutput;
    get_bucket_location buckets GetBucketLocationInput GetBucketLocationOutput;
    get_bucket_policy buckets GetBucketPolicyInput GetBucketPolicyOutput;
    get_bucket_tagging buckets GetBucketTaggingInput GetBucketTaggingOutput;
    get_bucket_versioning buckets GetBucketVersioningInput GetBucketVersioningOutput;
    get_object objects GetObjectInput GetObjectOutput;
    get_object_acl objects GetObjectAclInput GetObjectAclOutput;
    get_object_attributes objects GetObjectAttributesInput GetObjectAttributesOutput;
    get_object_tagging objects GetObjectTaggingInput GetObjectTaggingOutput;
    head_bucket buckets HeadBucketInput HeadBucketOutput;
    head_object objects HeadObjectInput HeadObjectOutput;
    list_buckets buckets ListBucketsInput ListBucketsOutput;
    list_multipart_uploads listings ListMultipartUploadsInput ListMultipartUploadsOutput;
    list_objects listings ListObjectsInput ListObjectsOutput;
    list_objects_v2 listings ListObjectsV2Input ListObjectsV2Output;
    list_parts listings ListPartsInput ListPartsOutput;
    put_object objects PutObjectInput PutObjectOutput;
    upload_part uploads UploadPartInput UploadPartOutput;
    upload_part_copy copies UploadPartCopyInput UploadPartCopyOutput;
}
