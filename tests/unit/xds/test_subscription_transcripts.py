"""What each request means and what it is answered, as transcripts; `transcript.py` tells how to read one."""

from __future__ import annotations

from sim.xds import Variant
from tests.unit.xds.transcript import assert_transcript


def sotw(transcript: str) -> None:
    assert_transcript(Variant.SOTW, transcript)


def delta(transcript: str) -> None:
    assert_transcript(Variant.DELTA, transcript)


# -- state of the world --------------------------------------------------------------------------------------------


def test_the_first_request_is_answered_and_its_ack_is_not() -> None:
    sotw(
        """
        == LDS a=1
        >> LDS
           subscribe: all
        << LDS v1 n1: a=1
        >> LDS @n1 v1
           ack
        << nothing
        """
    )


def test_a_first_request_is_initial_whatever_nonce_it_carries() -> None:
    # So begins istiod's own MCP client.
    sotw(
        """
        == extensions.istio.io/v1alpha1/WasmPlugin
        >> extensions.istio.io/v1alpha1/WasmPlugin @2026-11-20
           subscribe: all
        << extensions.istio.io/v1alpha1/WasmPlugin v1 n1:
        >> extensions.istio.io/v1alpha1/WasmPlugin @n1 v1
           ack
        """
    )


def test_a_first_request_with_the_version_of_a_former_stream_gets_everything() -> None:
    sotw(
        """
        == ECDS a=1 b=1
        >> ECDS b a v9
           subscribe: all
        << ECDS v1 n1: a=1 b=1
        """
    )


def test_an_empty_nonce_begins_the_type_anew() -> None:
    sotw(
        """
        == EDS a=1 b=1
        >> EDS a
           subscribe: all
        << EDS v1 n1: a=1
        >> EDS a b
           subscribe: all
        >> EDS a @n1 v1
           stale
        << EDS v1 n2: a=1 b=1
        >> EDS a b @n2 v1
           ack
        """
    )


def test_a_nack_is_not_answered_and_the_next_push_goes_out_as_ever() -> None:
    sotw(
        """
        == ECDS a=1
        >> ECDS a
           subscribe: all
        << ECDS v1 n1: a=1
        >> ECDS a @n1 v1
           ack
        == ECDS a=2
        == push ECDS
        << ECDS v2 n2: a=2
        >> ECDS a @n2 v1 !no
           nack no
        << nothing
        == ECDS a=3
        == push ECDS
        << ECDS v3 n3: a=3
        >> ECDS a @n3 v3
           ack
        """
    )


def test_the_names_in_a_nack_wait_for_the_next_ack() -> None:
    sotw(
        """
        == ECDS a=1 b=1
        >> ECDS a
           subscribe: all
        << ECDS v1 n1: a=1
        >> ECDS a b @n1 !no
           nack no
        == push ECDS
        << ECDS v1 n2: a=1
        >> ECDS a b @n2 v1
           subscribe: b
        << ECDS v1 n3: b=1
        """
    )


def test_a_stale_nonce_is_ignored() -> None:
    sotw(
        """
        == RDS a=1
        >> RDS a
           subscribe: all
        << RDS v1 n1: a=1
        == push RDS
        << RDS v1 n2: a=1
        >> RDS a @n1 v1
           stale
        >> RDS a @never-given v1
           stale
        >> RDS a @n2 v1
           ack
        """
    )


def test_a_second_plugin_is_asked_for_with_the_nonce_before_the_push_in_flight() -> None:
    # The order of the capture: the subscription with the old nonce is dropped, the ACK right behind it counts.
    sotw(
        """
        == LDS l=1
        == ECDS one=1
        >> LDS
           subscribe: all
        >> ECDS one
           subscribe: all
        << LDS v2 n1: l=1
        << ECDS v2 n2: one=1
        >> ECDS one @n2 v2
           ack
        == ECDS one=1 two=1
        == push LDS ECDS
        << LDS v3 n3: l=1
        << ECDS v3 n4: one=1
        >> ECDS two one @n2 v2
           stale
        >> LDS @n3 v3
           ack
        >> ECDS two one @n4 v3
           subscribe: two
        << ECDS v3 n5: two=1
        >> ECDS two one @n5 v3
           ack
        """
    )


def test_a_push_after_a_grown_list_holds_the_whole_list() -> None:
    sotw(
        """
        == EDS a=1 b=1
        >> EDS a
           subscribe: all
        << EDS v1 n1: a=1
        >> EDS a b @n1 v1
           subscribe: b
        == EDS a=2 b=2
        == push EDS
        << EDS v2 n2: a=2 b=2
        """
    )


def test_a_shrunk_list_is_an_ack_and_counts_at_the_next_push() -> None:
    sotw(
        """
        == EDS a=1 b=1
        >> EDS a b
           subscribe: all
        << EDS v1 n1: a=1 b=1
        >> EDS b @n1 v1
           ack
        == push EDS
        << EDS v1 n2: b=1
        """
    )


def test_an_empty_list_unsubscribes_where_names_are_needed() -> None:
    sotw(
        """
        == EDS a=1
        >> EDS a
           subscribe: all
        << EDS v1 n1: a=1
        >> EDS @n1 v1
           unsubscribe
        == push EDS
        << nothing
        >> EDS a @n1 v1
           subscribe: all
        << EDS v1 n2: a=1
        """
    )


def test_an_unsubscription_counts_even_with_a_stale_nonce_and_what_was_due_is_not_sent() -> None:
    sotw(
        """
        == EDS a=1
        >> EDS a
           subscribe: all
        << EDS v1 n1: a=1
        == push EDS
        << EDS v1 n2: a=1
        == push EDS
        >> EDS @n1 v1
           unsubscribe
        << nothing
        >> EDS @n2 v1
           unsubscribe
        """
    )


def test_no_names_at_first_where_names_are_needed_is_no_subscription() -> None:
    sotw(
        """
        == RDS a=1
        >> RDS
           unsubscribe
        == push RDS
        << nothing
        """
    )


def test_naming_nothing_means_everything_only_until_something_was_named() -> None:
    # The example in the xDS specification under "Wildcard".
    sotw(
        """
        == LDS a=1 b=1
        >> LDS
           subscribe: all
        << LDS v1 n1: a=1 b=1
        >> LDS * a @n1 v1
           subscribe: all
        << LDS v1 n2: a=1 b=1
        >> LDS a @n2 v1
           ack
        == push LDS
        << LDS v1 n3: a=1
        >> LDS @n3 v1
           ack
        == push LDS
        << nothing
        >> LDS * @n3 v1
           subscribe: all
        << LDS v1 n4: a=1 b=1
        """
    )


def test_a_star_subscribes_to_everything_even_where_names_are_needed() -> None:
    sotw(
        """
        == ECDS a=1 b=1
        >> ECDS a
           subscribe: all
        << ECDS v1 n1: a=1
        >> ECDS * @n1 v1
           subscribe: all
        << ECDS v1 n2: a=1 b=1
        """
    )


def test_a_longer_list_of_listeners_is_answered_with_all_of_them() -> None:
    # A response must hold every subscribed listener, or the client takes the others for removed.
    sotw(
        """
        == LDS a=1 b=1 c=1
        >> LDS a
           subscribe: all
        << LDS v1 n1: a=1
        >> LDS a b @n1 v1
           subscribe: all
        << LDS v1 n2: a=1 b=1
        """
    )


def test_a_removed_listener_is_missing_from_the_next_push() -> None:
    sotw(
        """
        == LDS a=1 b=1
        >> LDS
           subscribe: all
        << LDS v1 n1: a=1 b=1
        == LDS b=1
        == push LDS
        << LDS v2 n2: b=1
        """
    )


def test_a_name_asked_for_before_it_exists_comes_with_the_push_that_makes_it() -> None:
    sotw(
        """
        == ECDS
        >> ECDS a
           subscribe: all
        << ECDS v1 n1:
        >> ECDS a @n1 v1
           ack
        == ECDS a=1
        == push ECDS
        << ECDS v2 n2: a=1
        """
    )


def test_an_unknown_type_is_answered_by_nothing_and_holds_nobody_up() -> None:
    sotw(
        """
        == CDS a=1
        >> example.com/Nobody
           subscribe: all
        >> CDS
           subscribe: all
        << CDS v1 n1: a=1
        >> example.com/Nobody
           subscribe: all
        << nothing
        """
    )


def test_pushes_that_nobody_took_yet_are_one_and_tell_the_newest() -> None:
    sotw(
        """
        == LDS a=1
        >> LDS
           subscribe: all
        == push LDS
        == LDS a=2
        == push LDS
        << LDS v2 n1: a=2
        << nothing
        """
    )


def test_a_push_keeps_its_order_even_if_a_type_was_waiting_already() -> None:
    sotw(
        """
        == LDS l=1
        == ECDS a=1
        >> ECDS a
           subscribe: all
        >> LDS
           subscribe: all
        == push LDS ECDS
        << LDS v2 n1: l=1
        << ECDS v2 n2: a=1
        """
    )


def test_a_type_that_is_not_watched_is_not_pushed() -> None:
    sotw(
        """
        == LDS l=1
        == CDS c=1
        >> LDS
           subscribe: all
        << LDS v2 n1: l=1
        == push CDS LDS
        << LDS v2 n2: l=1
        << nothing
        """
    )


# -- incremental ---------------------------------------------------------------------------------------------------


def test_delta_the_first_request_is_answered_and_its_ack_is_not() -> None:
    delta(
        """
        == CDS a=1
        >> CDS
           subscribe: all
        << CDS v1 n1: a=1
        >> CDS @n1
           ack
        << nothing
        """
    )


def test_delta_a_nack_is_not_answered() -> None:
    delta(
        """
        == ECDS a=1
        >> ECDS +a
           subscribe: all
        << ECDS v1 n1: a=1
        >> ECDS @n1 !no
           nack no
        << nothing
        == ECDS a=2
        == push ECDS
        << ECDS v2 n2: a=2
        >> ECDS @n2
           ack
        """
    )


def test_delta_a_stale_nonce_is_ignored_but_not_the_names_beside_it() -> None:
    delta(
        """
        == ECDS a=1 b=1
        >> ECDS +a
           subscribe: all
        << ECDS v1 n1: a=1
        == push ECDS
        << ECDS v1 n2: a=1
        >> ECDS @n1
           stale
        >> ECDS +b @n1
           subscribe: b
        << ECDS v1 n3: b=1
        """
    )


def test_delta_the_names_in_a_nack_count() -> None:
    delta(
        """
        == ECDS a=1 b=1
        >> ECDS +a
           subscribe: all
        << ECDS v1 n1: a=1
        >> ECDS +b @n1 !no
           nack no: b
        << ECDS v1 n2: b=1
        """
    )


def test_delta_a_new_name_is_answered_alone_and_a_push_holds_both() -> None:
    delta(
        """
        == ECDS one=1
        >> ECDS +one
           subscribe: all
        << ECDS v1 n1: one=1
        == ECDS one=1 two=1
        == push ECDS
        << ECDS v2 n2: one=1
        >> ECDS +two
           subscribe: two
        >> ECDS @n2
           ack
        << ECDS v2 n3: two=1
        >> ECDS @n3
           ack
        == push ECDS
        << ECDS v2 n4: one=1 two=1
        """
    )


def test_delta_a_name_that_is_subscribed_already_is_sent_again() -> None:
    delta(
        """
        == EDS a=1 b=1
        >> EDS +a +b
           subscribe: all
        << EDS v1 n1: a=1 b=1
        >> EDS @n1
           ack
        >> EDS +a
           subscribe: a
        << EDS v1 n2: a=1
        """
    )


def test_delta_an_unsubscribed_name_is_neither_pushed_nor_reported_as_removed() -> None:
    delta(
        """
        == EDS a=1 b=1
        >> EDS +a +b
           subscribe: all
        << EDS v1 n1: a=1 b=1
        >> EDS -a
           unsubscribe
        << nothing
        == EDS b=2
        == push EDS
        << EDS v2 n2: b=2
        """
    )


def test_delta_who_wants_nothing_any_more_gets_nothing() -> None:
    delta(
        """
        == EDS a=1
        >> EDS +a
           subscribe: all
        << EDS v1 n1: a=1
        >> EDS -a
           unsubscribe
        == push EDS
        << nothing
        """
    )


def test_delta_a_name_given_up_before_its_answer_is_not_sent() -> None:
    delta(
        """
        == EDS a=1 b=1
        >> EDS +a
           subscribe: all
        << EDS v1 n1: a=1
        >> EDS +b
           subscribe: b
        >> EDS -b
           unsubscribe
        << nothing
        """
    )


def test_delta_what_is_gone_is_removed_by_name() -> None:
    delta(
        """
        == CDS a=1 b=1
        >> CDS
           subscribe: all
        << CDS v1 n1: a=1 b=1
        == CDS b=1
        == push CDS
        << CDS v2 n2: b=1 -a
        >> CDS @n2
           ack
        == push CDS
        << CDS v2 n3: b=1
        """
    )


def test_delta_an_extension_configuration_is_never_removed_by_name() -> None:
    delta(
        """
        == ECDS a=1 b=1
        >> ECDS +a +b
           subscribe: all
        << ECDS v1 n1: a=1 b=1
        == ECDS a=1
        == push ECDS
        << ECDS v2 n2: a=1
        == ECDS
        == push ECDS
        << ECDS v3 n3:
        """
    )


def test_delta_a_name_that_does_not_exist_is_reported_as_removed_and_comes_when_it_does() -> None:
    delta(
        """
        == EDS a=1
        >> EDS +a +ghost
           subscribe: all
        << EDS v1 n1: a=1 -ghost
        >> EDS +phantom
           subscribe: phantom
        << EDS v1 n2: -phantom
        == EDS a=1 ghost=1 phantom=1
        == push EDS
        << EDS v2 n3: a=1 ghost=1 phantom=1
        """
    )


def test_delta_an_extension_asked_for_before_it_exists_comes_when_it_does() -> None:
    delta(
        """
        == ECDS
        >> ECDS +a
           subscribe: all
        << ECDS v1 n1:
        >> ECDS @n1
           ack
        == ECDS a=1
        == push ECDS
        << ECDS v2 n2: a=1
        """
    )


def test_delta_a_reconnected_client_is_told_what_went_meanwhile() -> None:
    delta(
        """
        == CDS a=1
        >> CDS ~a ~gone
           subscribe: all
        << CDS v1 n1: a=1 -gone
        """
    )


def test_delta_a_reconnected_client_is_sent_its_names_and_no_extension_is_removed() -> None:
    # Stream 5 of the capture: both plugins are gone, Envoy still asks for them.
    delta(
        """
        == ECDS
        == EDS cluster=1
        >> EDS +cluster ~cluster
           subscribe: all
        >> ECDS +one +two ~two ~one
           subscribe: all
        << EDS v2 n1: cluster=1
        << ECDS v2 n2:
        """
    )


def test_delta_a_star_and_a_name_are_given_up_one_by_one() -> None:
    delta(
        """
        == LDS a=1 b=1
        >> LDS
           subscribe: all
        << LDS v1 n1: a=1 b=1
        >> LDS +a
           subscribe: a
        << LDS v1 n2: a=1
        >> LDS -*
           unsubscribe
        == LDS a=2 b=2
        == push LDS
        << LDS v2 n3: a=2
        >> LDS +*
           subscribe: all
        << LDS v2 n4: a=2 b=2
        """
    )


def test_delta_a_name_given_up_under_a_star_is_told_as_it_stands() -> None:
    # Only the server knows whether "*" covers it.
    delta(
        """
        == LDS a=1 b=1
        >> LDS +* +a +ghost
           subscribe: all
        << LDS v1 n1: a=1 b=1
        >> LDS -a -ghost
           subscribe: a ghost
        << LDS v1 n2: a=1 -ghost
        """
    )


def test_delta_subscribing_to_everything_and_back_at_once_is_no_subscription() -> None:
    # What Istio's on-demand clients begin with, to subscribe to nothing.
    delta(
        """
        == CDS a=1
        >> CDS +* -*
           unsubscribe
        == push CDS
        << nothing
        >> CDS +a
           subscribe: all
        << CDS v1 n1: a=1
        """
    )


def test_delta_an_unknown_type_is_answered_by_nothing() -> None:
    delta(
        """
        == CDS a=1
        >> example.com/Nobody +x
           subscribe: all
        >> CDS
           subscribe: all
        << CDS v1 n1: a=1
        << nothing
        """
    )


def test_delta_a_subscription_that_a_push_overtakes_is_answered_by_the_push() -> None:
    delta(
        """
        == ECDS a=1 b=1
        >> ECDS +a
           subscribe: all
        << ECDS v1 n1: a=1
        >> ECDS +b
           subscribe: b
        == ECDS a=2 b=2
        == push ECDS
        << ECDS v2 n2: a=2 b=2
        << nothing
        """
    )


def test_delta_names_asked_for_one_after_the_other_are_answered_together() -> None:
    delta(
        """
        == EDS a=1 b=1 c=1
        >> EDS +a
           subscribe: all
        << EDS v1 n1: a=1
        >> EDS +b
           subscribe: b
        >> EDS +c
           subscribe: c
        << EDS v1 n2: b=1 c=1
        << nothing
        """
    )


def test_delta_a_push_that_a_subscription_overtakes_still_holds_everything() -> None:
    delta(
        """
        == ECDS a=1 b=1
        >> ECDS +a
           subscribe: all
        << ECDS v1 n1: a=1
        == ECDS a=2 b=2
        == push ECDS
        >> ECDS +b
           subscribe: b
        << ECDS v2 n2: a=2 b=2
        << nothing
        """
    )
