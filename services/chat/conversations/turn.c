#include "turn.h"

static struct turn *first_of(struct chat *chat, const struct cm_uuid *conversation_id)
{
        CM_LIST_EACH (node, &chat->turns) {
                struct turn *turn = CM_CONTAINER(node, struct turn, node);

                if (cm_uuid_equal(&turn->conversation_id, conversation_id))
                        return turn;
        }
        return NULL;
}

int turn_take(struct turn *turn, struct chat *chat, const struct cm_uuid *conversation_id,
              bool *waited_r)
{
        int r = 0;

        *turn = (struct turn){ .chat = chat, .conversation_id = *conversation_id };
        cm_cond_init(&turn->come);
        cm_list_append(&chat->turns, &turn->node);
        *waited_r = first_of(chat, conversation_id) != turn;
        while (r == 0 && first_of(chat, conversation_id) != turn)
                r = cm_cond_wait(&turn->come);
        if (r)
                turn_pass(turn);
        return r;
}

/* Who leaves without having had it wakes somebody who looks and waits on. */
void turn_pass(struct turn *turn)
{
        struct turn *next;

        cm_list_remove(&turn->node);
        next = first_of(turn->chat, &turn->conversation_id);
        if (next)
                cm_cond_signal(&next->come);
}
