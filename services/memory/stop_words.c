#include "stop_words.h"

#include "base/attr.h"

const char *const stop_words[] = {
        "a about after again all also always am an and any anyone anything are as at be because "
        "been "
        "before being but by can could did do does doing done during each few for from get getting "
        "give go going got had has have having he her here hers herself him himself his how i id "
        "ill "
        "im ive if in into is it its itself just know let like me might mine more most much must "
        "my "
        "myself now of off on once one only or other our ours out over own please really remember "
        "said say shall she should so some someone something still such tell than that thats the "
        "their theirs them themselves then there these they thing things this those through to too "
        "under until up us very was we well went were what whats when where which while who whom "
        "whose why will with would yes you your yours yourself youre",
        "אני אתה את אתם אתן הוא היא הם הן אנחנו אנו שלי שלך שלו שלה שלנו שלכם שלהם של אותי אותך "
        "אותו "
        "אותה אותנו אותם לי לך לו לה לנו לכם להם בי בך בו בה בנו בהם ממני ממך ממנו ממנה עליי עליך "
        "עליו עליה על אל עם אצל בין לפני אחרי אחר עד כי אם או גם רק אך אבל כך ככה כן זה זו זאת אלה "
        "אלו הזה הזאת מה מי איך איפה היכן מתי למה מדוע כמה האם איזה איזו אילו לאיזה מהו מהי מיהו "
        "מיהי מהם מהן היה הייתה היתה היו הייתי להיות יהיה תהיה יש כל הכל כדי בגלל כמו כבר עוד מאוד "
        "שם פה כאן אז יותר פחות דבר דברים תזכור תזכרי זכור ידי תוך אשר לגבי בתור כאשר כש אף ביותר "
        "באיזו באיזה מאיזה שבו שבה בשביל עבור מפני לאן מאין",
};
const size_t stop_words_count = CM_COUNT(stop_words);

const char *const negations = "no not never none nor nothing without dont doesnt didnt isnt arent "
                              "wasnt werent cant cannot "
                              "couldnt wont wouldnt havent hasnt hadnt stopped "
                              "לא אין אינני איני אינו אינה אינם בלי מעולם אסור הפסקתי";
