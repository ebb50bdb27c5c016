#pragma once

#define CM_VERSION "0.1.0"
