#!/usr/bin/env python3
"""What a person does with Firefox, done by Marionette. Usage: drive.py PORT COMMAND…

devices                      lists modules, slots and tokens
device-manager PICTURE       opens the dialog, selects our slot, takes a picture, and prints what it shows
visit PICTURE URL NAME [PIN…] opens a page; asked for a certificate, takes the one whose name begins so; answers each question for a PIN with the next one, with Cancel when none is
                             left; takes a picture, prints the questions, their number and the page's text
forget                       logs out of all tokens and ends connections, as "Clear active logins" does
quit
"""
import base64
import sys

from marionette import Failed, Firefox, wait_for

firefox = Firefox(int(sys.argv[1]))

MODULES = """
    const modules = await Cc["@mozilla.org/security/pkcs11moduledb;1"].getService(Ci.nsIPKCS11ModuleDB).listModules();
"""


def picture(file, **options):
    image = firefox("WebDriver:TakeScreenshot", full=False, **options)["value"]
    with open(file, "wb") as out:
        out.write(base64.b64decode(image))


def devices():
    for line in firefox.chrome(MODULES + """
        return modules.flatMap(module => module.slots.map(slot =>
            `module ${module.name}: slot ${slot.name}: token ${slot.getToken()?.tokenName}: status ${slot.status}`));"""):
        print(line)


# Marionette cannot type into a question for a password, and knows nothing of the dialog that asks which certificate:
# observers in Firefox's own window answer them, once all of the dialog is there.
ANSWER = """
    const [name, ...pins] = given;
    window.offered = [];
    window.asked = [];
    window.chooses = dialog => {
        const list = dialog.ownerDocument.getElementById("nicknames");
        const items = [...list.querySelectorAll("menuitem")];
        window.offered = items.map(item => item.label);
        const wanted = items.find(item => item.label.startsWith(name));
        if (wanted) list.value = wanted.value;
        const button = wanted ? "acceptDialog" : "cancelDialog";
        dialog.ownerDocument.defaultView.setTimeout(() => dialog.ownerDocument.querySelector("dialog")[button](), 0);
    };
    window.answers = dialog => {
        const { infoBody, password1Textbox, button0, button1 } = dialog.Dialog.ui;
        window.asked.push(infoBody.textContent);
        const pin = window.asked.length > 10 ? undefined : pins.shift();
        if (pin !== undefined) password1Textbox.value = pin;
        dialog.setTimeout(() => (pin === undefined ? button1 : button0).click(), 0);
    };
    Services.obs.addObserver(window.chooses, "cert-dialog-loaded");
    Services.obs.addObserver(window.answers, "common-dialog-loaded");"""
ASKED = """
    Services.obs.removeObserver(window.chooses, "cert-dialog-loaded");
    Services.obs.removeObserver(window.answers, "common-dialog-loaded");
    return [window.offered, window.asked];"""

# Where the page is that has loaded. Firefox's own page of an error is never complete when Firefox has no network.
AT = """
    const failed = document.documentURI.startsWith("about:neterror");
    return failed || document.readyState === "complete" ? document.documentURI : null;"""


def visit(file, url, name, *pins):
    firefox("Marionette:SetContext", value="content")
    firefox("WebDriver:Navigate", url="about:blank")
    wait_for("an empty page", lambda: firefox.page(AT) == "about:blank")
    firefox.chrome(ANSWER, name, *pins)
    firefox("Marionette:SetContext", value="content")
    firefox("WebDriver:Navigate", url=url)

    def loaded():
        try:
            where = firefox.page(AT)
            return where if where != "about:blank" else None
        except Failed as failed:
            if str(failed).startswith("unexpected alert open"):
                return None  # a question for a PIN, being answered
            raise

    where = wait_for("the page", loaded)
    offered, asked = firefox.chrome(ASKED)
    print("offered:", *offered)
    print(*asked, sep="\n")
    if where.startswith(url):
        print(f"asked {len(asked)} times, opened:", firefox.page("return document.body.innerText;"))
        picture(file)
    else:
        print(f"asked {len(asked)} times, failed:", where)


def device_manager(file):
    """In a tab, where the picture can be taken."""
    firefox.chrome("""
        window.gBrowser.selectedBrowser.fixupAndLoadURIString("chrome://pippki/content/device_manager.xhtml",
            { triggeringPrincipal: Services.scriptSecurityManager.getSystemPrincipal() });""")
    find = """const dialog = window.gBrowser.selectedBrowser.contentWindow;"""
    wait_for("the dialog", lambda: firefox.chrome(find + "return !!dialog?.document.querySelector('#device_list treeitem');"))
    rows = firefox.chrome(find + """
        const tree = dialog.document.getElementById("device_tree");
        const names = [];
        for (let row = 0; row < tree.view.rowCount; row++) {
            names.push(tree.view.getCellText(row, tree.columns[0]));
            if (names.at(-1).startsWith("Strongroom slot")) tree.view.selection.select(row);
        }
        await dialog.document.l10n.ready;
        const cells = [...dialog.document.querySelectorAll("#info_list treecell[id]")];
        return [...names, ...cells.map(cell => `${cell.id} = ${cell.getAttribute("label")}`)];""")
    print("\n".join(rows))
    firefox("Marionette:SetContext", value="content")
    picture(file)


def forget():
    firefox.chrome("""Cc["@mozilla.org/security/sdr;1"].getService(Ci.nsISecretDecoderRing).logoutAndTeardown();""")


def quit_firefox():
    firefox("Marionette:Quit", flags=["eForceQuit"])


commands = {"devices": devices, "device-manager": device_manager, "visit": visit, "forget": forget, "quit": quit_firefox}
try:
    commands[sys.argv[2]](*sys.argv[3:])
except Failed as failed:
    sys.exit(f"{failed}")
