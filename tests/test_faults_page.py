"""``docs/faults.md`` is true line by line: each of its rows names the tests that show it, here."""

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "faults.md"

FAULTS = "faults/test_faults"
PASSING = f"{FAULTS}::test_a_failure_that_passes_costs_nothing_but_time"
LASTING = f"{FAULTS}::test_a_failure_that_lasts_ends_the_run_with_its_cause_and_the_way_on"

SHOWN_BY: dict[str, tuple[str, ...]] = {
    "log-probabilities that cannot be": (
        "test_logprobs::test_a_distribution_that_cannot_be_leaves_the_score_as_written",
        "test_logprobs::test_a_10_whose_second_half_has_no_probability_stands_as_written",
    ),
    "429 with Retry-After in seconds": (
        PASSING,
        f"{FAULTS}::test_the_lean_transport_bears_as_much",
        f"{FAULTS}::test_a_server_that_restarts_is_waited_for",
    ),
    "garbage where a chunk's size belongs": (
        PASSING,
        "test_deadline::test_a_call_that_never_ends_is_ended_and_sent_again",
    ),
    "a byte now and then": (
        PASSING,
        "test_deadline::test_a_call_that_never_ends_is_ended_and_sent_again",
        "test_deadline::test_a_trickle_ends_at_the_least_rate_or_at_the_total",
    ),
    "a gateway on the way": (
        "test_http::test_what_a_gateway_does_is_told_from_what_a_server_does",
    ),
    "with `stream = true`": (
        "test_streams::test_a_broken_stream_fails_and_keeps_its_meaning",
        "test_streams::test_a_message_must_end_with_its_terminator",
        "test_streams::test_an_error_within_a_message_keeps_its_meaning",
        "test_streams::test_a_delta_without_a_place_is_garbled",
    ),
    "a stream without an event": (
        "test_streaming::test_a_stream_that_falls_silent_is_ended_and_asked_for_again",
        "test_deadline::test_a_stream_without_an_event_for_the_time_out_is_ended",
        "test_deadline::test_a_stream_may_bring_no_text_for_long_if_it_brings_events",
    ),
    "any division of a stream": (
        "test_streams::test_a_chat_completion_is_the_same_reply_streamed",
        "test_streams::test_a_message_is_the_same_reply_streamed",
        "test_streams::test_a_generation_is_the_same_reply_streamed",
        "test_streams::test_a_server_that_does_not_stream_is_read_as_it_is",
        "test_streaming::test_a_reply_that_has_ended_is_whole_whatever_comes_after",
    ),
    "an event of more than 8 MiB": (
        "test_streams::test_an_event_of_endless_lines_is_refused",
        "test_streams::test_a_line_without_an_end_is_refused",
        "test_streams::test_a_reply_without_an_end_is_refused",
    ),
    "a kept-alive connection closed early": (
        f"{FAULTS}::test_an_odd_but_whole_answer_is_as_good_as_any",
        f"{FAULTS}::test_the_lean_transport_reads_odd_answers",
        f"{FAULTS}::test_kept_connections_may_be_closed_without_a_word",
    ),
    "401, 402, 403, 404": (LASTING,),
    "the server asks to come back later": (LASTING,),
    "a server that answers nobody": (
        f"{FAULTS}::test_a_server_that_is_not_there_is_named",
        "test_dispatch::test_an_outage_costs_no_call_however_often_it_failed",
        "test_dispatch::test_an_endpoint_that_answers_nobody_ends_the_run_once_it_was_waited_for",
        "test_waiting::test_an_outage_is_said_while_it_is_waited_for",
    ),
    "429 to every call": (
        f"{FAULTS}::test_429_to_every_call_ends_the_run_once_a_call_has_spent_its_time",
        "test_dispatch::test_the_time_of_a_call_that_is_refused_counts_queues_and_holds",
    ),
    "one call that fails `retry.attempts` times": (
        "test_dispatch::test_a_call_that_fails_while_others_are_answered_loses_its_item_for_now",
        "test_cli::test_what_failed_for_a_passing_reason_is_status_1_and_resumed",
    ),
    "rate-limit headers with an absurd reset": (
        "test_waiting::test_an_absurd_reset_is_bounded_and_said",
    ),
    "one call permanently refused": (
        f"{FAULTS}::test_an_answer_that_is_refused_loses_its_item_and_no_other",
        "test_stages::test_a_rewrite_that_the_server_refuses_fails_the_instruction",
        "test_stages::test_rubrics_that_the_server_refuses_fail_what_would_need_them",
        "test_cli::test_what_failed_for_good_is_taken_up_when_asked_for",
    ),
    "a wrong key, model or address": (
        "test_preflight::test_a_judge_that_cannot_be_used_is_named_before_anything_else_is_paid",
        "test_preflight::test_every_dialect_is_checked_with_a_call",
        "test_preflight::test_it_changes_no_dataset_and_can_be_left_out",
        "test_preflight::test_an_address_where_nothing_answers_is_given_up",
    ),
    "a server that gives no log-probabilities": (
        "test_logprobs::test_a_server_that_gives_none_is_refused_in_one_line_before_anything_is_paid",
        "test_logprobs::test_a_provider_without_them_is_refused_before_the_first_call",
    ),
    "the first 16 replies of a role and stage": (
        f"{FAULTS}::test_a_server_that_refuses_everything_for_good_ends_the_run",
        "test_trial::test_a_model_that_only_thinks_is_stopped_after_sixteen_calls",
        "test_trial::test_one_answer_among_the_first_sixteen_is_enough",
    ),
    "null or empty content": (
        f"{FAULTS}::test_an_empty_answer_is_asked_again",
        f"{FAULTS}::test_a_null_changes_no_dataset_whichever_stage_meets_it",
        "test_model::test_what_is_no_answer_is_lost_with_its_reason_and_counted",
        "test_report::test_rows_that_refuse_and_replies_that_are_no_answer_are_counted",
    ),
    "a reply that cannot be read": (
        "test_model::test_an_unreadable_reply_is_asked_again_as_another_sample_and_each_is_kept",
        "test_model::test_at_temperature_0_the_same_question_is_never_sent_twice",
        "test_stages::test_a_rewrite_that_failed_is_tried_with_other_actions",
    ),
    "reasoning in the text": (
        "test_reasoning::test_whatever_is_thought_is_taken_off_whole",
        "test_reasoning::test_marks_that_belong_to_an_answer_stay",
        "test_model::test_reasoning_is_kept_apart_from_the_answer",
    ),
    "an answer cut off at `max_tokens`": (
        "test_stages::test_a_cut_off_answer_is_dropped_where_only_whole_ones_are_wanted",
        f"{FAULTS}::test_an_answer_that_was_cut_off_is_judged_as_what_it_is",
    ),
    "a refusal in words": (
        "test_report::test_rows_that_refuse_and_replies_that_are_no_answer_are_counted",
    ),
    "an answer larger than 64 MiB": (
        f"{FAULTS}::test_an_answer_beyond_all_bounds_is_not_read",
        "test_http::test_an_answer_beyond_all_measure_is_rejected",
    ),
    "a key echoed in a server's error or answer": (
        "test_gate::test_a_key_that_a_server_repeats_is_in_no_file",
        "test_gate::test_a_key_that_a_server_breaks_into_lines_is_masked",
        "test_streaming::test_what_a_server_echoes_of_a_key_is_masked_though_it_comes_in_pieces",
    ),
    "SIGINT or SIGTERM once": (
        "test_signals::test_sigterm_ends_the_command_with_a_line",
        "test_cli::test_an_interrupted_run_goes_on_and_pays_nothing_twice",
        "test_watching::test_a_run_on_a_terminal_is_resized_and_stopped",
        f"{FAULTS}::test_a_gentle_stop_ends_a_call_that_hangs_within_its_deadline",
    ),
    "twice, SIGKILL, a crash": (
        "faults/test_chaos::test_killed_runs_lose_nothing_and_pay_for_nothing_twice",
        "faults/test_money::test_a_budget_of_calls_holds_through_kills",
        "test_cli::test_a_second_interrupt_stops_at_once",
    ),
    "a budget of calls, tokens, money or hours": (
        "test_budget::test_a_budget_of_calls_is_kept_exactly",
        "test_budget::test_a_budget_is_overrun_by_no_more_than_estimates_are_too_small",
    ),
    "a budget of money where": (
        "test_budget::test_a_budget_of_money_needs_the_price_of_every_role_that_is_paid",
    ),
    "SIGSTOP, SIGCONT": (f"{FAULTS}::test_a_pause_is_no_more_than_a_pause",),
    "disk full, read-only folder": (
        "faults/test_storage::test_a_full_disk_stops_the_run_and_costs_no_answer_that_was_kept",
        "faults/test_storage::test_a_read_only_folder_is_named_before_any_call",
        "faults/test_storage::test_a_damaged_cache_stops_with_its_name_and_is_replaced_once_moved_away",
        "faults/test_storage::test_a_damaged_ledger_stops_with_its_name_and_is_made_anew_for_nothing",
    ),
    "a full disk that leaves no room for the summary": (
        "faults/test_money::test_results_that_cannot_be_written_leave_a_way_on",
    ),
    "the cache, the ledger or their folder deleted": (
        "faults/test_money::test_a_folder_that_is_deleted_or_moved_stops_the_run_and_the_way_on_works",
    ),
    "the thread that writes": (
        "test_sessions::test_a_writer_thread_that_dies_ends_the_run_with_its_cause_and_nothing_is_lost",
        "test_storage::test_what_waits_for_a_writer_that_dies_is_told_so",
    ),
    "a run's folder of another version": (
        "faults/test_storage::test_a_folder_of_another_version_is_refused_in_one_line_before_any_call",
    ),
    "a cache folder with pickles": (
        "test_cache::test_a_planted_row_runs_no_code_and_its_key_can_still_be_kept",
        "test_cache::test_our_disk_refuses_pickles_also_in_the_hands_of_diskcache",
    ),
    "a ledger or a cache with a view": (
        "test_strangers_databases::test_a_ledger_with_other_tables_is_refused",
        "test_strangers_databases::test_a_cache_with_more_than_answers_is_refused",
    ),
    "a damaged row of a ledger": ("test_strangers_databases::test_damaged_rows_are_one_line",),
    "a page of another site": (
        "test_view::test_other_sites_learn_nothing_even_with_the_token",
        "test_view::test_the_page_is_for_whoever_has_its_address",
        "test_view::test_a_server_knows_its_own_names",
    ),
    "scripts, markup, control characters": (
        "test_view::test_a_report_holds_what_models_wrote_as_data_only",
        "browser/test_page::test_hostile_rows_are_text",
        "browser/test_page::test_a_report_is_the_same_page_and_loads_nothing",
    ),
    "a run that is killed, moved on": (
        "test_view::test_a_run_is_shown_while_it_works_and_after_it_was_killed",
        "test_view::test_a_ledger_that_cannot_be_read_is_said_on_the_page",
    ),
    "two processes on one run": (
        "faults/test_storage::test_the_second_process_on_a_run_is_refused_with_the_first_ones_id",
        "test_files::test_a_lock_survives_its_file",
    ),
    "a run's folder copied without its cache": (
        "faults/test_moving::test_a_copied_folder_says_what_it_costs_before_anything_is_paid_again",
        "faults/test_moving::test_who_says_so_pays_again",
    ),
    "seeds by an address": (
        "test_remote_seeds::test_what_does_not_come_whole_leaves_nothing",
        "test_remote_seeds::test_what_is_not_there_is_one_line_before_anything_is_written",
        "test_remote_seeds::test_seeds_from_the_hub_are_downloaded_once",
    ),
    "an address of seeds with a password": (
        "test_remote_seeds::test_an_address_with_a_secret_is_refused_and_not_repeated",
    ),
    "a push that is interrupted": (
        "test_push::test_an_interrupted_push_continues_without_uploading_twice",
        "test_push::test_pushing_again_changes_nothing",
        "test_push::test_nothing_is_made_public_unasked",
    ),
    "`codeclm loop` killed at any of its steps": (
        "test_loop::test_a_loop_killed_at_every_step_ends_like_an_undisturbed_one",
    ),
    "a run killed, packed, and unpacked": (
        "faults/test_moving::test_a_killed_run_goes_on_elsewhere_and_pays_for_nothing_again",
    ),
    "`pack` of a run from somebody else": (
        "test_pack::test_a_stranger_s_run_packs_no_file_of_the_user_s",
        "test_pack::test_changed_prompts_and_metadata_are_not_packed",
        "test_pack::test_changed_seeds_are_not_packed",
    ),
    "a run packed without some of its answers": (
        "faults/test_moving::test_a_pack_that_lacks_answers_says_so_and_pays_for_none_unasked",
    ),
    "a pack from somebody else": (
        "test_pack::test_a_stranger_s_pack_is_refused_in_one_line_and_leaves_nothing",
        "test_pack::test_a_bomb_is_refused_by_its_size",
        "test_pack::test_a_pack_that_is_cut_off_is_refused",
    ),
    "a run or a cache on NFS": (
        "test_network::test_a_network_file_system_is_known_by_the_mount_that_holds_the_path",
        "test_network::test_a_database_there_is_refused_with_the_way_out",
    ),
    "a base URL with a password": (
        "test_gate::test_a_wrong_endpoint_is_one_line_before_anything_is_written",
    ),
    "a run's folder from somebody else": (
        "test_gate::test_a_stranger_s_folder_sends_nothing_before_it_is_trusted",
        "test_gate::test_a_stranger_s_folder_sends_no_file_of_the_user_s_unasked",
        "test_gate::test_a_stranger_s_folder_loads_no_model_unasked",
    ),
    "`./.env` with an address": ("test_gate::test_a_dotenv_gives_keys_and_moves_nothing",),
    "a link, a pipe or a device": (
        "test_files::test_a_link_in_a_run_s_folder_is_not_followed",
        "test_files::test_a_link_in_a_cache_is_not_followed",
        "test_files::test_a_pipe_in_a_run_s_folder_is_not_waited_for",
        "test_files::test_what_is_read_whole_must_be_a_regular_file",
    ),
    "`--out` in a folder": (
        "test_files::test_a_folder_that_is_not_a_run_s_keeps_its_files",
        "test_files::test_reports_and_exports_replace_nothing_unasked",
        "test_files::test_a_comparison_replaces_nothing_unasked",
        "test_files::test_a_tuned_model_replaces_no_other_model",
    ),
    "`review export` over a file": (
        "test_files::test_a_second_review_export_keeps_what_was_typed",
    ),
    "two runs on one cache": ("faults/test_storage::test_two_runs_share_a_cache_at_the_same_time",),
    "a changed configuration, prompt or seed file": (
        "test_cli::test_a_changed_configuration_is_refused_with_the_difference",
        "test_cli::test_an_allowed_change_begins_anew_with_what_was_paid_for",
        "faults/test_storage::test_changed_seeds_are_refused_under_the_same_name",
    ),
    "a misspelt key, wrong type or range": (
        "test_config::test_each_wrong_configuration_is_one_line_and_status_2_before_any_request",
        "faults/test_storage::test_a_folder_that_cannot_be_made_is_named_before_any_call",
        "test_config::test_a_missing_key_is_named_by_its_variable",
    ),
    "seed lines that are not JSON": (
        "test_cli::test_bad_seed_lines_are_named_and_counted",
        "test_seeds::test_a_bad_record_is_told_and_the_next_is_read",
        "test_seeds::test_a_line_without_end_does_not_fill_the_memory",
        "test_seeds::test_csv_rows_are_told_by_their_lines",
        "test_seeds::test_parquet_rows_have_the_shapes_of_records",
    ),
    "a named pipe, a device": (
        "test_seeds::test_unusable_files_are_refused_with_a_remedy",
        "test_seeds::test_a_folder_that_holds_itself_is_refused",
    ),
    "a gzip that unpacks": (
        "test_hostile::test_what_unpacks_to_too_much_is_refused",
        "test_seeds::test_a_large_row_group_is_refused_before_it_is_read",
    ),
    "a damaged seed file": ("test_hostile::test_seeds_that_break_off_within_a_run_are_one_line",),
    "configurations nested thousands deep": (
        "test_hostile::test_a_hostile_configuration_is_one_line",
        "test_hostile::test_a_hostile_setting_is_one_line",
        "test_hostile::test_an_impossible_folder_is_one_line",
        "test_hostile::test_a_path_with_nul_is_one_line",
    ),
    "standard error closed by its reader": (
        "test_watching::test_a_run_whose_log_nobody_reads_any_more_goes_on",
    ),
    "standard output closed or full": (
        "test_hostile::test_output_that_cannot_be_written_is_no_traceback",
    ),
    "`x-should-retry: true` with a 4xx": (
        "test_http::test_a_server_s_word_on_retries_goes_before_the_status",
        "test_http::test_a_used_up_quota_is_final_whatever_is_said_of_retries",
    ),
    "a `temperature`, `top_p` or `max_tokens`": (
        "test_models::test_what_the_model_refuses_is_refused_before_the_first_call",
    ),
    "`azure`, `bedrock` or `vertex` without": (
        "test_hosts::test_a_host_whose_address_is_the_user_s_own_says_what_it_needs",
        "test_azure::test_a_deployment_s_address_needs_a_version",
    ),
    "a server that has moved": (
        "test_identity::test_a_run_continues_where_its_servers_have_moved_and_pays_nothing_again",
        "test_identity::test_without_an_identity_another_server_is_another_run",
    ),
    "a vendor's key in the environment": (
        "test_gate::test_a_vendor_s_key_goes_to_the_vendor_alone_unless_it_is_named",
    ),
    "a limit of requests that nobody stated": (
        "test_rate_search::test_an_unknown_limit_per_second_is_found_within_20_seconds",
        "test_rate_search::test_windows_of_ten_seconds_are_found",
        "test_rate_search::test_of_a_limit_per_minute_hardly_a_request_is_refused_from_the_second_minute_on",
        "test_rate_search::test_a_limit_that_moves_is_followed_within_ten_seconds",
        "faults/test_quotas::test_a_quota_that_nobody_told_of_costs_no_answer",
    ),
    "a limit that is stated": (
        "test_dispatch_quotas::test_a_known_request_limit_is_used_to_99_percent_without_a_refusal",
        "test_dispatch_quotas::test_a_known_request_limit_holds_in_windows_of_any_length",
    ),
    "a server that takes only so many requests at a time": (
        "test_rate_search::test_a_server_with_places_is_known_by_their_number",
    ),
    "one request in ten refused at random": (
        "test_rate_search::test_refusals_of_single_requests_are_not_the_rates",
        "test_concurrency::test_single_refusals_do_not_slow_the_others",
    ),
    "text with ANSI escapes": (
        "test_cli::test_what_models_and_users_write_never_drives_the_terminal",
        "test_hostile::test_what_is_typed_does_not_control_the_terminal",
        "test_export::test_every_text_comes_back",
    ),
}
"""By how a row begins."""


def rows() -> list[str]:
    """Return the first cells of the page's first table."""
    _, table = PAGE.read_text("utf-8").split("| what happens | what you see |\n|---|---|\n")
    return [line.split("|")[1].strip() for line in table.partition("\n\n")[0].splitlines()]


@cache
def names_in(module: str) -> frozenset[str]:
    """Return the names of the tests in a file below this folder."""
    tree = ast.parse((TESTS / f"{module}.py").read_text("utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, functions))


def test_every_row_has_a_test_and_every_entry_a_row() -> None:
    entries = {row: [key for key in SHOWN_BY if row.startswith(key)] for row in rows()}

    unclear = {row: keys for row, keys in entries.items() if len(keys) != 1}
    assert unclear == {}, "name the tests of these rows in SHOWN_BY"
    assert SHOWN_BY.keys() == {key for keys in entries.values() for key in keys}


@pytest.mark.parametrize("row", SHOWN_BY)
def test_the_tests_of_a_row_exist(row: str) -> None:
    missing = [
        test
        for test in SHOWN_BY[row]
        if test.partition("::")[2] not in names_in(test.partition("::")[0])
    ]

    assert missing == []
