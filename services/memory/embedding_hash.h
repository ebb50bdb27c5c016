#pragma once
#include "embedding.h"

/* The embedded embedder: see embedding.h. Never fails, never suspends. */
struct embedder *embedding_hash_new(void);
