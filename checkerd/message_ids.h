/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a journal record is about, for log_fields().  etc/checkerd.catalog has
 * a text for each of them; a lint holds the two together.
 *
 * Fields are named as the environment of an exec is.
 */
#ifndef CHECKERD_MESSAGE_IDS_H
#define CHECKERD_MESSAGE_IDS_H

/* Events, with CHECKERD_SEQ, _EVENT, _UPSTREAM, _POOL, _HOST, _ADDRESS, _FROM,
 * _TO, _OUTCOME, _HTTP_STATUS and _FAILCOUNT. */
#define MESSAGE_HOST_UP       "49f07298aa8a4a66b222ce3d48cb9302"
#define MESSAGE_HOST_DOWN     "09325d271f834c80aff52c58dbef224d"
#define MESSAGE_HOST_DRAIN    "7a0497dea9d04da2943d1f3620bbcc00"
#define MESSAGE_CERT_EXPIRING "552ead1b632643468399c1994fba99f0"
#define MESSAGE_PANIC_ON      "25708d8d512143ed98c677822a01f380"
#define MESSAGE_PANIC_OFF     "22db9b7e4e1f4f1696de1ae7892b027e"

/* Probes that counted for nothing, with their number in CHECKERD_COUNT. */
#define MESSAGE_INCONCLUSIVE "44a25b3aab224a9caf45eb69c9c9da92"

/* A pool or host changed by a person, with CHECKERD_POOL, _HOST and _UID. */
#define MESSAGE_CHANGED "05733b6e75ac457f9cb21ae0a7202c58"

/* checkerd itself; no fields. */
#define MESSAGE_STARTED         "2eca51fb8be04c1184a6e0e5858391c2"
#define MESSAGE_STOPPED         "21a38a87013a4e369d91100f38b66309"
#define MESSAGE_CONFIG_RELOADED "8b92182b25d94f35a7dd450df061acda"
#define MESSAGE_CONFIG_REFUSED  "75795d999f3f4f439f2daabf2c5537ca"

#endif
