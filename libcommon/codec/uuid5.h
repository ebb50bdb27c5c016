#pragma once
#include "base/str.h"
#include "base/uuid.h"

/* A UUID that follows from a name (RFC 9562, version 5): the same name in the same space, the same
 * id, whoever asks. */
struct cm_uuid cm_uuid5(const struct cm_uuid *space, struct cm_str name);
