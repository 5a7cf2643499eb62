//! [`contract!`](crate::contract): all cases, by module.

/// Makes a test of each case, on the engine that the function makes: `fn() -> Box<dyn Engine>`.
#[macro_export]
macro_rules! contract {
    ($new:path) => {
        mod abort {
            $crate::cases! { $new, abort:
                an_aborted_upload_keeps_no_bytes,
                the_second_abort_finds_no_upload,
                an_abort_takes_nothing_from_others,
                an_upload_that_ended_answers_alike_however_it_ended,
                an_object_can_not_be_aborted,
                many_parts_are_gone_with_their_upload,
                many_parts_stay_gone_after_a_crash,
                many_uploads_of_many_parts_expire,
                many_parts_that_are_replaced_stay_for_their_readers,
            }
        }
        mod bad_input {
            $crate::cases! { $new, bad_input:
                part_numbers_are_1_to_10000,
                a_malformed_id_names_no_upload,
                an_id_that_names_no_open_upload_of_the_key_is_refused,
                an_expired_id_is_refused,
                a_reader_that_claims_what_it_has_not_read_gets_zeros,
                a_bad_body_is_refused,
                a_reader_that_fails_is_told_of,
                a_writer_that_is_dropped_half_way_leaves_nothing,
                a_writer_that_failed_can_not_finish,
                a_bad_key_is_refused,
                an_unusual_key_is_a_key,
                metadata_over_its_limit_is_refused,
                limits_of_numbers_and_keys_can_be_lowered,
            }
        }
        mod checksums {
            $crate::cases! { $new, checksums:
                every_algorithm_has_its_known_value,
                a_part_has_only_what_was_asked_for,
                a_stream_has_the_checksums_of_its_bytes_however_it_is_cut,
                bytes_that_are_stored_already_have_all_checksums_too,
                a_wrong_checksum_before_the_body_is_refused_and_changes_nothing,
                a_checksum_behind_the_body_is_checked_before_anything_is_replaced,
                a_checksum_behind_an_object_is_checked_before_anything_is_replaced,
                an_object_has_the_checksums_of_its_bytes_and_those_of_its_parts,
                an_object_lacks_what_one_of_its_parts_lacks,
                a_crc_64_of_the_parts_checksums_is_refused,
                an_upload_says_what_it_asks_for,
                a_listed_part_must_have_the_checksums_that_are_listed,
                what_a_completion_declares_of_the_whole_is_checked,
                a_copied_part_gets_the_checksums_that_its_upload_asks_for,
                a_copied_object_has_the_checksums_of_its_source,
                an_opaque_etag_is_the_same_in_every_answer_and_after_a_restart,
                with_opaque_etags_an_md5_is_computed_only_for_who_wants_it,
                parts_with_both_kinds_of_etags_make_one_object,
            }
        }
        mod complete {
            $crate::cases! { $new, complete:
                an_objects_etag_is_the_md5_of_the_parts_md5s,
                an_objects_crc64_does_not_depend_on_its_parts,
                every_part_but_the_last_must_have_the_minimum,
                only_listed_parts_need_the_minimum,
                a_line_of_a_completion_is_read_leniently_and_refused_clearly,
                a_list_that_does_not_fit_changes_nothing,
                gaps_in_numbers_are_for_s3,
                parts_that_are_not_listed_keep_no_bytes,
                the_same_completion_again_answers_the_same,
                an_upload_is_either_open_or_an_object,
            }
        }
        mod concurrency {
            $crate::cases! { $new, concurrency:
                puts_to_one_number_leave_one_of_them,
                puts_of_the_same_bytes_share_one_file,
                an_abort_among_puts_leaves_nothing,
                a_completion_among_puts_makes_an_object_of_what_it_listed,
                completions_with_the_same_list_all_answer_the_one_object,
                of_completions_with_different_lists_one_wins,
                of_a_completion_and_an_abort_one_wins,
                sweeps_never_take_what_is_being_put,
                readers_among_replacing_and_sweeping_read_one_body,
                verify_finds_nothing_among_everything,
                uploads_initiated_at_once_are_all_listed,
                an_object_that_is_opened_while_it_is_completed_is_whole,
                looking_at_uploads_that_come_and_go_finds_no_damage,
            }
        }
        mod copy {
            $crate::cases! { $new, copy:
                an_object_that_is_copied_part_by_part_has_the_same_etag,
                a_source_that_goes_is_copied_while_its_reader_lives,
                a_part_that_is_copied_onto_itself_keeps_its_bytes,
                a_copy_to_an_upload_that_is_not_open_is_refused,
                a_reader_of_another_store_is_refused,
                a_copy_heeds_the_limits_of_a_put,
                copies_among_puts_to_one_number_leave_one_of_them,
                bytes_that_others_put_at_the_same_time_are_not_called_damaged,
                a_copy_among_aborts_and_sweeps_is_whole_or_refused,
            }
        }
        mod dedup {
            $crate::cases! { $new, dedup:
                bytes_stay_while_one_part_has_them,
                bodies_with_the_same_md5_stay_distinct,
            }
        }
        mod expire {
            $crate::cases! { $new, expire:
                an_upload_does_not_expire_under_a_body,
                an_upload_that_nobody_completed_expires,
                housekeeping_expires_what_the_options_say,
                uploads_under_a_prefix_expire_alone,
            }
        }
        mod ingest {
            $crate::cases! { $new, ingest:
                a_body_of_any_length_is_stored_as_it_is,
                many_bodies_at_once_do_not_hold_each_other_up,
                bytes_that_are_stored_already_have_the_same_sums,
            }
        }
        mod keys {
            $crate::cases! { $new, keys:
                an_object_that_is_put_is_found_by_its_key_also_after_a_kill,
                a_stream_becomes_an_object_with_what_was_declared_behind_it,
                the_object_before_is_removed_with_the_put_that_replaces_it,
                a_completion_without_a_word_leaves_the_key_alone,
                conditions_hold_for_every_call_that_takes_or_gives_up_a_key,
                a_key_is_removed_once_and_again_without_an_error,
                the_same_completion_again_gets_the_same_answer_whatever_its_condition,
                a_refused_completion_leaves_upload_and_key,
                replacing_an_object_by_name_gives_up_its_key,
                a_copy_has_the_bytes_of_its_source_and_outlives_it,
                metadata_is_replaced_longer_shorter_and_by_none,
                metadata_that_is_replaced_is_seen_whole,
                of_many_that_want_no_object_one_succeeds,
                a_key_that_is_replaced_has_one_whole_object_at_every_moment,
                keys_that_are_no_keys_are_refused,
                an_expiry_leaves_keys_alone,
            }
        }
        mod lifecycle {
            $crate::cases! { $new, lifecycle:
                every_state_outlives_a_reopen_and_a_kill,
                the_numbers_follow_what_happens,
            }
        }
        mod list_keys {
            $crate::cases! { $new, list_keys:
                listings_are_those_of_the_model_whatever_prefix_delimiter_marker_and_page,
                an_entry_says_of_the_object_what_the_object_says,
                a_page_of_none_is_empty_and_a_long_one_is_refused_or_cut,
            }
        }
        mod list_parts {
            $crate::cases! { $new, list_parts:
                parts_are_listed_by_number_whatever_the_order_of_arrival,
                pages_of_every_size_give_every_part_once,
                a_page_begins_behind_its_marker,
                a_page_has_at_most_a_thousand_parts,
                an_upload_without_parts_has_an_empty_list,
                an_upload_that_ended_has_no_list,
                a_list_tells_what_was_answered_last,
            }
        }
        mod list_uploads {
            $crate::cases! { $new, list_uploads:
                pages_of_every_size_give_every_upload_and_prefix_once,
                uploads_of_one_key_are_listed_in_the_order_of_their_initiation,
                markers_say_where_a_list_begins,
                a_list_goes_on_behind_an_upload_that_ended,
                only_open_uploads_are_listed,
                an_upload_is_listed_with_what_it_was_initiated_with,
                a_page_has_at_most_a_thousand_uploads,
            }
        }
        mod model {
            $crate::cases! { $new, model:
                any_sequence_of_calls_answers_as_a_map_would,
            }
        }
        mod namespaces {
            $crate::cases! { $new, namespaces:
                a_namespace_is_created_once_and_removed_when_it_is_empty,
                namespaces_are_listed_by_name_in_pages,
                namespaces_do_not_see_each_other,
                what_a_namespace_holds_is_counted_through_every_call_and_a_kill,
                a_quota_is_checked_before_the_body_and_again_at_the_commit,
                concurrent_calls_do_not_exceed_a_quota,
                nothing_begins_in_a_namespace_that_is_removed,
            }
        }
        mod put {
            $crate::cases! { $new, put:
                a_part_is_the_same_whichever_way_it_comes,
                an_empty_part_is_stored,
                the_largest_part_is_stored_and_one_byte_more_is_not,
                the_largest_part_by_default_is_5_gib,
                a_small_part_is_stored_unless_the_minimum_is_enforced_at_put,
                a_content_md5_is_base64_of_16_bytes,
                a_declared_digest_must_be_the_bodys,
                a_body_of_another_length_than_declared_leaves_the_part_before,
                an_upload_that_is_not_open_is_refused_before_the_body,
                of_two_bodies_for_one_number_the_last_commit_wins,
                a_replaced_part_keeps_no_bytes,
                ten_thousand_parts_arrive_in_any_order,
                a_part_that_was_answered_is_durable,
            }
        }
        mod read {
            $crate::cases! { $new, read:
                chunks_are_the_bytes_in_order_and_from_any_place_on,
                reads_and_chunks_by_turns_go_on_where_the_other_ended,
                chunks_go_on_when_the_object_is_removed,
                a_reader_that_is_dropped_half_way_keeps_nothing,
                an_object_of_many_parts_is_read_from_any_place_on,
                an_object_of_many_parts_is_held_whatever_becomes_of_it,
                a_damaged_blob_ends_the_chunks_before_it,
                a_reader_that_comes_back_finds_the_blob_repaired,
                a_part_reads_like_its_bytes,
                an_object_reads_like_its_parts_one_after_the_other,
                a_part_of_an_object_is_read_by_its_number,
                a_part_that_was_never_put_can_not_be_opened,
                a_seek_before_the_start_stays_where_it_was,
                a_reader_reads_on_whatever_becomes_of_its_part,
                an_objects_reader_holds_also_the_parts_that_it_has_not_reached,
                a_parts_reader_outlives_the_completion,
            }
        }
        mod rename {
            $crate::cases! { $new, rename:
                an_object_gets_another_key_and_keeps_all_but_that,
                an_object_that_is_renamed_takes_the_key_from_another_under_a_condition,
                a_renamed_or_copied_object_of_one_part_can_have_the_etag_and_metadata_of_a_put,
                an_open_upload_gets_another_key_and_keeps_its_parts,
                what_cannot_be_renamed_stays_as_it_was,
                of_many_that_are_renamed_to_one_new_key_one_gets_it,
                an_object_that_is_renamed_to_and_fro_is_found_or_absent_and_never_damaged,
            }
        }
        mod replace {
            $crate::cases! { $new, replace:
                a_new_object_takes_the_place_of_the_old_one_and_nothing_else_is_left,
                a_replacement_that_was_answered_outlives_a_kill,
                the_same_replacement_again_answers_the_same_and_removes_nothing,
                a_completion_that_is_repeated_as_a_replacement_removes_nothing,
                a_list_that_does_not_fit_replaces_nothing,
                bytes_that_both_objects_have_stay,
                readers_of_the_replaced_object_go_on,
                of_concurrent_replacements_of_one_object_exactly_one_wins,
                the_same_replacement_at_once_answers_the_one_object,
                replacements_that_name_each_other_do_not_wait_for_each_other,
                a_name_that_is_given_new_objects_has_one_whenever_it_is_looked_at,
                a_closed_store_replaces_nothing,
            }
        }
        mod sweep {
            $crate::cases! { $new, sweep:
                whatever_lost_its_last_reference_goes,
                garbage_that_is_put_again_stays,
                a_thousand_blobs_go_in_one_sweep,
                a_body_refused_at_its_commit_goes,
                a_blob_that_is_being_read_waits_for_its_reader,
            }
        }
        mod verify {
            $crate::cases! { $new, verify:
                a_verify_that_was_broken_off_goes_on_behind_any_blob,
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! cases {
    ($new:path, $module:ident: $($case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                $crate::run($new, $crate::cases::$module::$case);
            }
        )*
    };
}
