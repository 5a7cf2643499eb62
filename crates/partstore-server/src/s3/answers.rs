//! What each request is answered by: a function of one of the modules, or the answer of a bucket that has nothing of the
//! kind.

use s3s::dto::{
    self, GetBucketRequestPaymentInput, GetBucketRequestPaymentOutput, GetObjectTaggingInput,
    GetObjectTaggingOutput, Payer,
};
use s3s::{S3, S3Request, S3Response, S3Result};

use super::objects::find;
use super::{
    Objects, acl, attributes, buckets, copies, cors, deletions, error, lifecycle, listings,
    objects, reads, uploads, versions,
};

/// The answers of [`Objects`].
macro_rules! answers {
    (
        by { $($verb:ident $module:ident $input:ident $output:ident;)* }
        without_a_word { $($blank:ident $blank_input:ident $blank_output:ident;)* }
        none { $($none:ident $none_input:ident $none_output:ident $code:literal;)* }
        refused { $($refused:ident $refused_input:ident $refused_output:ident $what:literal;)* }
    ) => {
        #[async_trait::async_trait]
        impl S3 for Objects {
            $(async fn $verb(
                &self,
                request: S3Request<dto::$input>,
            ) -> S3Result<S3Response<dto::$output>> {
                $module::$verb(self, request).await
            })*
            $(async fn $blank(
                &self,
                request: S3Request<dto::$blank_input>,
            ) -> S3Result<S3Response<dto::$blank_output>> {
                buckets::require(self, &request.input.bucket).await?;
                Ok(S3Response::new(dto::$blank_output::default()))
            })*
            $(async fn $none(
                &self,
                request: S3Request<dto::$none_input>,
            ) -> S3Result<S3Response<dto::$none_output>> {
                buckets::require(self, &request.input.bucket).await?;
                Err(error::absent($code))
            })*
            $(async fn $refused(
                &self,
                request: S3Request<dto::$refused_input>,
            ) -> S3Result<S3Response<dto::$refused_output>> {
                buckets::require(self, &request.input.bucket).await?;
                Err(error::not_implemented($what))
            })*
        }
    };
}

answers! {
    by {
        abort_multipart_upload uploads AbortMultipartUploadInput AbortMultipartUploadOutput;
        complete_multipart_upload uploads CompleteMultipartUploadInput CompleteMultipartUploadOutput;
        copy_object copies CopyObjectInput CopyObjectOutput;
        create_bucket buckets CreateBucketInput CreateBucketOutput;
        create_multipart_upload uploads CreateMultipartUploadInput CreateMultipartUploadOutput;
        delete_bucket buckets DeleteBucketInput DeleteBucketOutput;
        delete_bucket_cors cors DeleteBucketCorsInput DeleteBucketCorsOutput;
        delete_bucket_lifecycle lifecycle DeleteBucketLifecycleInput DeleteBucketLifecycleOutput;
        delete_object deletions DeleteObjectInput DeleteObjectOutput;
        delete_objects deletions DeleteObjectsInput DeleteObjectsOutput;
        get_bucket_acl acl GetBucketAclInput GetBucketAclOutput;
        get_bucket_cors cors GetBucketCorsInput GetBucketCorsOutput;
        get_bucket_lifecycle_configuration lifecycle GetBucketLifecycleConfigurationInput GetBucketLifecycleConfigurationOutput;
        get_bucket_location buckets GetBucketLocationInput GetBucketLocationOutput;
        get_bucket_ownership_controls acl GetBucketOwnershipControlsInput GetBucketOwnershipControlsOutput;
        get_bucket_request_payment here GetBucketRequestPaymentInput GetBucketRequestPaymentOutput;
        get_object reads GetObjectInput GetObjectOutput;
        get_object_acl acl GetObjectAclInput GetObjectAclOutput;
        get_object_attributes attributes GetObjectAttributesInput GetObjectAttributesOutput;
        get_object_tagging here GetObjectTaggingInput GetObjectTaggingOutput;
        head_bucket buckets HeadBucketInput HeadBucketOutput;
        head_object reads HeadObjectInput HeadObjectOutput;
        list_buckets buckets ListBucketsInput ListBucketsOutput;
        list_multipart_uploads listings ListMultipartUploadsInput ListMultipartUploadsOutput;
        list_object_versions versions ListObjectVersionsInput ListObjectVersionsOutput;
        list_objects listings ListObjectsInput ListObjectsOutput;
        list_objects_v2 listings ListObjectsV2Input ListObjectsV2Output;
        list_parts listings ListPartsInput ListPartsOutput;
        put_bucket_acl acl PutBucketAclInput PutBucketAclOutput;
        put_bucket_cors cors PutBucketCorsInput PutBucketCorsOutput;
        put_bucket_lifecycle_configuration lifecycle PutBucketLifecycleConfigurationInput PutBucketLifecycleConfigurationOutput;
        put_bucket_ownership_controls acl PutBucketOwnershipControlsInput PutBucketOwnershipControlsOutput;
        put_object objects PutObjectInput PutObjectOutput;
        put_object_acl acl PutObjectAclInput PutObjectAclOutput;
        upload_part uploads UploadPartInput UploadPartOutput;
        upload_part_copy copies UploadPartCopyInput UploadPartCopyOutput;
    }
    without_a_word {
        delete_bucket_encryption DeleteBucketEncryptionInput DeleteBucketEncryptionOutput;
        delete_bucket_ownership_controls DeleteBucketOwnershipControlsInput DeleteBucketOwnershipControlsOutput;
        delete_bucket_policy DeleteBucketPolicyInput DeleteBucketPolicyOutput;
        delete_bucket_replication DeleteBucketReplicationInput DeleteBucketReplicationOutput;
        delete_bucket_tagging DeleteBucketTaggingInput DeleteBucketTaggingOutput;
        delete_bucket_website DeleteBucketWebsiteInput DeleteBucketWebsiteOutput;
        delete_object_tagging DeleteObjectTaggingInput DeleteObjectTaggingOutput;
        delete_public_access_block DeletePublicAccessBlockInput DeletePublicAccessBlockOutput;
        get_bucket_accelerate_configuration GetBucketAccelerateConfigurationInput GetBucketAccelerateConfigurationOutput;
        get_bucket_logging GetBucketLoggingInput GetBucketLoggingOutput;
        get_bucket_notification_configuration GetBucketNotificationConfigurationInput GetBucketNotificationConfigurationOutput;
        get_bucket_versioning GetBucketVersioningInput GetBucketVersioningOutput;
        list_bucket_analytics_configurations ListBucketAnalyticsConfigurationsInput ListBucketAnalyticsConfigurationsOutput;
        list_bucket_intelligent_tiering_configurations ListBucketIntelligentTieringConfigurationsInput ListBucketIntelligentTieringConfigurationsOutput;
        list_bucket_inventory_configurations ListBucketInventoryConfigurationsInput ListBucketInventoryConfigurationsOutput;
        list_bucket_metrics_configurations ListBucketMetricsConfigurationsInput ListBucketMetricsConfigurationsOutput;
    }
    none {
        get_bucket_analytics_configuration GetBucketAnalyticsConfigurationInput GetBucketAnalyticsConfigurationOutput "NoSuchConfiguration";
        get_bucket_encryption GetBucketEncryptionInput GetBucketEncryptionOutput "ServerSideEncryptionConfigurationNotFoundError";
        get_bucket_intelligent_tiering_configuration GetBucketIntelligentTieringConfigurationInput GetBucketIntelligentTieringConfigurationOutput "NoSuchConfiguration";
        get_bucket_inventory_configuration GetBucketInventoryConfigurationInput GetBucketInventoryConfigurationOutput "NoSuchConfiguration";
        get_bucket_metrics_configuration GetBucketMetricsConfigurationInput GetBucketMetricsConfigurationOutput "NoSuchConfiguration";
        get_bucket_policy GetBucketPolicyInput GetBucketPolicyOutput "NoSuchBucketPolicy";
        get_bucket_policy_status GetBucketPolicyStatusInput GetBucketPolicyStatusOutput "NoSuchBucketPolicy";
        get_bucket_replication GetBucketReplicationInput GetBucketReplicationOutput "ReplicationConfigurationNotFoundError";
        get_bucket_tagging GetBucketTaggingInput GetBucketTaggingOutput "NoSuchTagSet";
        get_bucket_website GetBucketWebsiteInput GetBucketWebsiteOutput "NoSuchWebsiteConfiguration";
        get_object_legal_hold GetObjectLegalHoldInput GetObjectLegalHoldOutput "NoSuchObjectLockConfiguration";
        get_object_lock_configuration GetObjectLockConfigurationInput GetObjectLockConfigurationOutput "ObjectLockConfigurationNotFoundError";
        get_object_retention GetObjectRetentionInput GetObjectRetentionOutput "NoSuchObjectLockConfiguration";
        get_public_access_block GetPublicAccessBlockInput GetPublicAccessBlockOutput "NoSuchPublicAccessBlockConfiguration";
    }
    refused {
        put_bucket_accelerate_configuration PutBucketAccelerateConfigurationInput PutBucketAccelerateConfigurationOutput "acceleration";
        put_bucket_analytics_configuration PutBucketAnalyticsConfigurationInput PutBucketAnalyticsConfigurationOutput "a configuration of analytics";
        put_bucket_encryption PutBucketEncryptionInput PutBucketEncryptionOutput "encryption";
        put_bucket_intelligent_tiering_configuration PutBucketIntelligentTieringConfigurationInput PutBucketIntelligentTieringConfigurationOutput "tiering";
        put_bucket_inventory_configuration PutBucketInventoryConfigurationInput PutBucketInventoryConfigurationOutput "an inventory";
        put_bucket_logging PutBucketLoggingInput PutBucketLoggingOutput "logging to a bucket";
        put_bucket_metrics_configuration PutBucketMetricsConfigurationInput PutBucketMetricsConfigurationOutput "a configuration of metrics";
        put_bucket_notification_configuration PutBucketNotificationConfigurationInput PutBucketNotificationConfigurationOutput "a notification";
        put_bucket_policy PutBucketPolicyInput PutBucketPolicyOutput "a policy";
        put_bucket_replication PutBucketReplicationInput PutBucketReplicationOutput "replication";
        put_bucket_request_payment PutBucketRequestPaymentInput PutBucketRequestPaymentOutput "a rule of payment";
        put_bucket_tagging PutBucketTaggingInput PutBucketTaggingOutput "a tag";
        put_bucket_versioning PutBucketVersioningInput PutBucketVersioningOutput "versioning";
        put_bucket_website PutBucketWebsiteInput PutBucketWebsiteOutput "a website";
        put_object_legal_hold PutObjectLegalHoldInput PutObjectLegalHoldOutput "object lock";
        put_object_lock_configuration PutObjectLockConfigurationInput PutObjectLockConfigurationOutput "object lock";
        put_object_retention PutObjectRetentionInput PutObjectRetentionOutput "object lock";
        put_object_tagging PutObjectTaggingInput PutObjectTaggingOutput "a tag";
        put_public_access_block PutPublicAccessBlockInput PutPublicAccessBlockOutput "a rule of public access";
        restore_object RestoreObjectInput RestoreObjectOutput "an archive";
        select_object_content SelectObjectContentInput SelectObjectContentOutput "a query of an object";
    }
}

/// Answers too short for a module of their own.
mod here {
    use super::{
        GetBucketRequestPaymentInput, GetBucketRequestPaymentOutput, GetObjectTaggingInput,
        GetObjectTaggingOutput, Objects, Payer, S3Request, S3Response, S3Result, buckets, find,
    };

    pub async fn get_bucket_request_payment(
        objects: &Objects,
        request: S3Request<GetBucketRequestPaymentInput>,
    ) -> S3Result<S3Response<GetBucketRequestPaymentOutput>> {
        buckets::require(objects, &request.input.bucket).await?;
        Ok(S3Response::new(GetBucketRequestPaymentOutput {
            payer: Some(Payer::from_static(Payer::BUCKET_OWNER)),
        }))
    }

    pub async fn get_object_tagging(
        objects: &Objects,
        request: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let input = request.input;
        find(objects, (&input.bucket, &input.key)).await?;
        Ok(S3Response::new(GetObjectTaggingOutput::default()))
    }
}
